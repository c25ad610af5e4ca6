import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Writes messages from..from+count-1, the same ones each time: property seq is the number; key, tag, queue and body follow from it. All
 * messages of a key are in one queue, and each queue has one sender with one request in flight, so that the order is the numbers' order.
 */
final class Load {
  private static final long STUBBORN_MS = 180_000;

  private final String topic;
  private final long from;
  private final long count;
  private final int size;
  private final int keys;
  private final boolean sharding;
  private final int batch;
  private final double rate;
  private final boolean stubborn;
  private final long start = System.nanoTime();

  Load(Call call) {
    topic = call.text("topic");
    from = call.number("from", 0);
    count = call.number("count");
    size = (int) call.number("size", 128);
    keys = (int) call.number("keys", 1000);
    sharding = call.flag("sharding");
    rate = call.number("rate", 0);
    stubborn = call.flag("stubborn");
    batch = (int) call.number("batch", rate > 0 ? 1 : Math.max(1, Math.min(500, 1_000_000 / (size + 200))));
  }

  int fill(DefaultMQProducer producer, List<MessageQueue> queues) throws Exception {
    List<Callable<Integer>> senders = new ArrayList<>();
    for (int queue = 0; queue < queues.size(); queue++) {
      int mine = queue;
      senders.add(() -> fillOne(producer, queues.get(mine), mine, queues.size()));
    }
    ExecutorService threads = Executors.newFixedThreadPool(senders.size());
    try {
      int sent = 0;
      for (Future<Integer> done : threads.invokeAll(senders)) sent += done.get();
      return sent;
    } finally {
      threads.shutdownNow();
    }
  }

  private int fillOne(DefaultMQProducer producer, MessageQueue queue, int mine, int queues) throws Exception {
    List<Message> waiting = new ArrayList<>(batch);
    int sent = 0;
    for (long seq = from; seq < from + count; seq++) {
      int key = keys == 0 ? (int) (seq % queues) : new SplittableRandom(seq).nextInt(keys);
      if (key % queues != mine) continue;
      if (rate > 0) TimeUnit.NANOSECONDS.sleep(start + (long) ((seq - from) * 1e9 / rate) - System.nanoTime());
      waiting.add(message(seq, key));
      if (waiting.size() < batch) continue;
      sent += send(producer, waiting, queue);
      waiting = new ArrayList<>(batch);
    }
    return waiting.isEmpty() ? sent : sent + send(producer, waiting, queue);
  }

  private Message message(long seq, int key) {
    byte[] body = new byte[size];
    new SplittableRandom(~seq).nextBytes(body);
    Message message = new Message(topic, "T" + seq % 4, body);
    if (keys > 0 && sharding) MessageAccessor.putProperty(message, MessageConst.PROPERTY_SHARDING_KEY, "k" + key);
    else if (keys > 0) message.setKeys("k" + key);
    message.putUserProperty("seq", Long.toString(seq));
    return message;
  }

  /** "stubborn": sends again what failed, before anything later, as an application through a broker's restart; it may then be there twice. */
  private int send(DefaultMQProducer producer, List<Message> messages, MessageQueue queue) throws Exception {
    long until = System.currentTimeMillis() + STUBBORN_MS;
    while (true) {
      try {
        Patience.send(() -> batch == 1 ? producer.send(messages.get(0), queue) : producer.send(messages, queue));
        return messages.size();
      } catch (Exception error) {
        if (!stubborn || System.currentTimeMillis() > until) throw error;
        Thread.sleep(200);
      }
    }
  }
}
