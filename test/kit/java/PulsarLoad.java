import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.pulsar.client.api.CompressionType;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.TypedMessageBuilder;

/**
 * Writes messages from..from+count-1 to a Pulsar topic, the same ones each time as {@link Load} writes to RocketMQ: property seq is the number, and key,
 * partition and body follow from it. All messages of a key are in one partition, and each partition has one producer, so that the order is the numbers' order.
 */
final class PulsarLoad {
  private static final int PENDING = 5_000;
  private static final long FOREVER_MS = 600_000;

  private final PulsarClient client;
  private final List<String> partitions;
  private final long from;
  private final long count;
  private final int size;
  private final int keys;
  private final boolean ordering;
  private final int batch;
  private final double rate;
  private final CompressionType compression;
  private final long start = System.nanoTime();

  PulsarLoad(PulsarClient client, List<String> partitions, Call call) {
    this.client = client;
    this.partitions = partitions;
    from = call.number("from", 0);
    count = call.number("count");
    size = (int) call.number("size", 128);
    keys = (int) call.number("keys", 1000);
    ordering = call.flag("sharding");
    rate = call.number("rate", 0);
    batch = (int) call.number("batch", rate > 0 ? 1 : Math.max(1, Math.min(500, 1_000_000 / (size + 200))));
    compression = CompressionType.valueOf(call.text("compression", "NONE"));
  }

  int fill() throws Exception {
    List<Callable<Integer>> senders = new ArrayList<>();
    for (int partition = 0; partition < partitions.size(); partition++) {
      int mine = partition;
      senders.add(() -> fillOne(mine));
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

  private int fillOne(int mine) throws Exception {
    ProducerBuilder<byte[]> builder = client.newProducer().topic(partitions.get(mine)).blockIfQueueFull(true).maxPendingMessages(PENDING)
      .sendTimeout(0, TimeUnit.SECONDS).compressionType(compression).enableBatching(batch > 1);
    // Full batches alone leave, so that each has as many messages as were asked for; the last one leaves by flush.
    if (batch > 1) builder.batchingMaxMessages(batch).batchingMaxBytes(4 << 20).batchingMaxPublishDelay(FOREVER_MS, TimeUnit.MILLISECONDS);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    int sent = 0;
    try (Producer<byte[]> producer = builder.create()) {
      for (long seq = from; seq < from + count && failure.get() == null; seq++) {
        int key = keys == 0 ? (int) (seq % partitions.size()) : new SplittableRandom(seq).nextInt(keys);
        if (key % partitions.size() != mine) continue;
        if (rate > 0) TimeUnit.NANOSECONDS.sleep(start + (long) ((seq - from) * 1e9 / rate) - System.nanoTime());
        sent++;
        message(producer, seq, key).sendAsync().exceptionally(error -> {
          failure.compareAndSet(null, error);
          return null;
        });
      }
      producer.flush();
    }
    if (failure.get() != null) throw new IllegalStateException(failure.get());
    return sent;
  }

  private TypedMessageBuilder<byte[]> message(Producer<byte[]> producer, long seq, int key) {
    byte[] body = new byte[size];
    new SplittableRandom(~seq).nextBytes(body);
    TypedMessageBuilder<byte[]> message = producer.newMessage().value(body).property("seq", Long.toString(seq));
    if (keys > 0) message.key("k" + key);
    if (keys > 0 && ordering) message.orderingKey(("k" + key).getBytes());
    return message;
  }
}
