import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pulsar.client.api.HashingScheme;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.TypedMessageBuilder;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The rival: the bridge that a competent user writes with the official Java clients. A thread per queue pulls by offset (the
 * documented lite pull consumer loses most of what it was assigned), and one Pulsar producer sends large batches without waiting.
 * It keeps body, key and properties and adds the origin, but takes no care of restarts, doubles or gaps.
 *
 * Usage: Bridge --namesrv HOST:PORT --topic SOURCE --service pulsar://HOST:PORT --to TARGET --count N
 */
public final class Bridge {
  private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private final Map<String, String> arguments = new HashMap<>();
  private final AtomicInteger handedOver = new AtomicInteger();
  private final AtomicInteger stored = new AtomicInteger();
  private final AtomicInteger failed = new AtomicInteger();

  public static void main(String[] argv) throws Exception {
    Thread.setDefaultUncaughtExceptionHandler((thread, error) -> {
      error.printStackTrace();
      System.exit(2);
    });
    Bridge bridge = new Bridge();
    for (int i = 0; i + 1 < argv.length; i += 2) bridge.arguments.put(argv[i].substring(2), argv[i + 1]);
    bridge.rocketmqToPulsar();
    System.exit(bridge.failed.get() == 0 ? 0 : 3);
  }

  private void rocketmqToPulsar() throws Exception {
    int count = Integer.parseInt(arguments.get("count"));
    PulsarClient client = PulsarClient.builder().serviceUrl(arguments.get("service")).build();
    Producer<byte[]> producer = client.newProducer().topic(arguments.get("to")).blockIfQueueFull(true)
      .maxPendingMessages(20_000).maxPendingMessagesAcrossPartitions(80_000)
      .batchingMaxMessages(1000).batchingMaxBytes(1 << 20).batchingMaxPublishDelay(5, TimeUnit.MILLISECONDS)
      .hashingScheme(HashingScheme.Murmur3_32Hash).create();
    long beganNanos = System.nanoTime();
    double beganCpu = cpuSeconds();
    pullAll(arguments.get("topic"), count, producer);
    producer.flush();
    while (stored.get() + failed.get() < count) Thread.sleep(1);
    double wall = (System.nanoTime() - beganNanos) / 1e9;
    System.out.printf(Locale.ROOT, "{\"stored\":%d,\"failed\":%d,\"wall_s\":%.3f,\"flow_cpu_s\":%.3f,\"process_cpu_s\":%.3f}%n",
      stored.get(), failed.get(), wall, cpuSeconds() - beganCpu, cpuSeconds());
  }

  /** CPU time of the whole process since it began. */
  private static double cpuSeconds() {
    return SYSTEM.getProcessCpuTime() / 1e9;
  }

  /** Pulls every queue from offset 0 on a thread of its own until count messages were handed over in all. */
  private void pullAll(String topic, int count, Producer<byte[]> producer) throws Exception {
    DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("bridge-" + UUID.randomUUID());
    consumer.setNamesrvAddr(arguments.get("namesrv"));
    consumer.start();
    List<Thread> threads = new ArrayList<>();
    for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
      Thread thread = new Thread(() -> pullQueue(consumer, queue, count, producer));
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) thread.join();
  }

  private void pullQueue(DefaultMQPullConsumer consumer, MessageQueue queue, int count, Producer<byte[]> producer) {
    long offset = 0;
    try {
      while (handedOver.get() < count) {
        PullResult pulled = consumer.pull(queue, "*", offset, 1000);
        offset = pulled.getNextBeginOffset();
        if (pulled.getMsgFoundList() == null) {
          if (offset >= consumer.maxOffset(queue)) break;
          continue;
        }
        for (MessageExt message : pulled.getMsgFoundList()) forward(message, producer);
        handedOver.addAndGet(pulled.getMsgFoundList().size());
      }
      consumer.updateConsumeOffset(queue, offset);
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  private void forward(MessageExt message, Producer<byte[]> producer) {
    TypedMessageBuilder<byte[]> copy = producer.newMessage().value(message.getBody()).eventTime(message.getBornTimestamp());
    if (message.getKeys() != null) copy.key(message.getKeys());
    for (Map.Entry<String, String> property : message.getProperties().entrySet()) copy.property(property.getKey(), property.getValue());
    copy.property("origin", "east").property("origin-pos", message.getQueueId() + ":" + message.getQueueOffset());
    copy.sendAsync().whenComplete((id, error) -> (error == null ? stored : failed).incrementAndGet());
  }
}
