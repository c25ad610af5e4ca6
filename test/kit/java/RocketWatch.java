import java.time.Instant;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Counts and follows a RocketMQ topic, as {@link Pulsar#count} and {@link Pulsar#tail} do there. */
final class RocketWatch {
  private final DefaultMQPullConsumer puller;
  private final List<MessageQueue> queues;
  private final String idProperty;

  RocketWatch(DefaultMQPullConsumer puller, List<MessageQueue> queues, Call call) {
    this.puller = puller;
    this.queues = queues;
    idProperty = call.text("idProperty", "seq");
  }

  /** Counts the messages and the different values of a numeric property: cheap enough for a million. */
  Object count() throws Exception {
    long read = 0;
    BitSet seen = new BitSet();
    for (MessageQueue queue : queues) {
      long max = puller.maxOffset(queue);
      for (long offset = puller.minOffset(queue); offset < max; ) {
        PullResult pulled = puller.pull(queue, "*", offset, 32);
        if (pulled.getMsgFoundList() != null) {
          for (MessageExt message : pulled.getMsgFoundList()) {
            read++;
            seen.set(Integer.parseInt(message.getProperty(idProperty)));
          }
        }
        offset = Math.max(offset, pulled.getNextBeginOffset());
      }
    }
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("messages", read);
    result.put("distinct", seen.cardinality());
    return result;
  }

  /**
   * Follows the queues from their ends and notes when each message arrives; first row is "ready". Rows are [id, arrival in microseconds since 1970].
   * Ends after "count" messages or "timeoutMs".
   */
  Object tail(Call call) throws Exception {
    long count = call.number("count");
    long until = System.currentTimeMillis() + call.number("timeoutMs");
    Queue<Object[]> arrived = new ConcurrentLinkedQueue<>();
    AtomicInteger seen = new AtomicInteger();
    List<Thread> followers = new ArrayList<>();
    for (MessageQueue queue : queues) {
      long end = puller.maxOffset(queue);
      followers.add(new Thread(() -> {
        long offset = end;
        while (seen.get() < count && System.currentTimeMillis() < until) {
          try {
            // Held by the broker until something comes, 20 s at most.
            PullResult pulled = puller.pullBlockIfNotFound(queue, "*", offset, 32);
            Instant now = Instant.now();
            offset = Math.max(offset, pulled.getNextBeginOffset());
            if (pulled.getMsgFoundList() == null) continue;
            for (MessageExt message : pulled.getMsgFoundList()) {
              arrived.add(new Object[] {message.getProperty(idProperty), now.getEpochSecond() * 1_000_000 + now.getNano() / 1000});
              seen.incrementAndGet();
            }
          } catch (Exception error) {
            throw new IllegalStateException(error);
          }
        }
      }));
    }
    call.row("ready");
    call.flush();
    for (Thread follower : followers) follower.start();
    while (seen.get() < count && System.currentTimeMillis() < until) Thread.sleep(20);
    for (Object[] row : arrived) call.row(row);
    return arrived.size();
  }
}
