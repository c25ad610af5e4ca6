import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pulsar.client.api.BatchReceivePolicy;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.HashingScheme;
import org.apache.pulsar.client.api.Messages;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.api.TypedMessageBuilder;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The rival: the bridge that a competent user writes with the official Java clients, in all four directions. From RocketMQ a thread per queue pulls by
 * offset (the documented lite pull consumer loses most of what it was assigned); from Pulsar a Failover subscription receives in batches. To Pulsar one
 * producer sends large batches without waiting; to RocketMQ batches go to queues, each batch waited for, because the broker reorders otherwise. It keeps
 * body, key and properties and adds the origin, but takes no care of restarts, doubles or gaps.
 *
 * Usage: Bridge --way rocketmq-to-pulsar --source HOST:PORT --topic SOURCE --target pulsar://HOST:PORT --to TARGET --count N
 * A RocketMQ cluster is named by its namesrv, a Pulsar cluster by its service URL.
 */
public final class Bridge {
  private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  private static final int MAX_BATCH_BYTES = 4 << 20;

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
    int count = Integer.parseInt(bridge.arguments.get("count"));
    switch (bridge.arguments.get("way")) {
      case "rocketmq-to-pulsar" -> bridge.rocketmqToPulsar(count);
      case "pulsar-to-rocketmq" -> bridge.pulsarToRocketmq(count);
      case "pulsar-to-pulsar" -> bridge.pulsarToPulsar(count);
      case "rocketmq-to-rocketmq" -> bridge.rocketmqToRocketmq(count);
      default -> throw new IllegalArgumentException("no such way: " + bridge.arguments.get("way"));
    }
    System.exit(bridge.failed.get() == 0 ? 0 : 3);
  }

  private interface Flow {
    void run() throws Exception;
  }

  /** Runs the flow, whose clients are connected, until all is stored, and prints what it cost. */
  private void measured(int count, Flow flow) throws Exception {
    long beganNanos = System.nanoTime();
    double beganCpu = cpuSeconds();
    flow.run();
    while (stored.get() + failed.get() < count) Thread.sleep(1);
    double wall = (System.nanoTime() - beganNanos) / 1e9;
    System.out.printf(Locale.ROOT, "{\"stored\":%d,\"failed\":%d,\"wall_s\":%.3f,\"flow_cpu_s\":%.3f,\"process_cpu_s\":%.3f}%n",
      stored.get(), failed.get(), wall, cpuSeconds() - beganCpu, cpuSeconds());
  }

  /** CPU time of the whole process since it began. */
  private static double cpuSeconds() {
    return SYSTEM.getProcessCpuTime() / 1e9;
  }

  // --- the four ways ---

  private void rocketmqToPulsar(int count) throws Exception {
    Producer<byte[]> producer = pulsarProducer();
    measured(count, () -> {
      pullAll(count, (queue, messages) -> {
        for (MessageExt message : messages) {
          TypedMessageBuilder<byte[]> copy = producer.newMessage().value(message.getBody()).eventTime(message.getBornTimestamp());
          if (message.getKeys() != null) copy.key(message.getKeys());
          for (Map.Entry<String, String> property : message.getProperties().entrySet()) copy.property(property.getKey(), property.getValue());
          counted(copy.property("origin", "east").property("origin-pos", message.getQueueId() + ":" + message.getQueueOffset()));
        }
      });
      producer.flush();
    });
  }

  private void rocketmqToRocketmq(int count) throws Exception {
    DefaultMQProducer producer = rocketmqProducer();
    List<MessageQueue> queues = producer.fetchPublishMessageQueues(arguments.get("to"));
    measured(count, () -> pullAll(count, (queue, messages) -> {
      List<Message> batch = new ArrayList<>(messages.size());
      for (MessageExt message : messages) {
        Message copy = new Message(arguments.get("to"), message.getTags(), message.getKeys(), message.getBody());
        copyProperties(message.getProperties(), copy);
        copy.putUserProperty("origin", "east");
        copy.putUserProperty("origin-pos", message.getQueueId() + ":" + message.getQueueOffset());
        batch.add(copy);
      }
      producer.send(batch, queues.get(queue.getQueueId() % queues.size()));
      stored.addAndGet(batch.size());
    }));
  }

  private void pulsarToPulsar(int count) throws Exception {
    Consumer<byte[]> consumer = pulsarConsumer();
    Producer<byte[]> producer = pulsarProducer();
    measured(count, () -> {
      receiveAll(count, consumer, messages -> {
        for (org.apache.pulsar.client.api.Message<byte[]> message : messages)
          counted(producer.newMessage().key(message.getKey()).value(message.getData()).properties(message.getProperties()).property("origin", "east"));
        consumer.acknowledgeAsync(messages);
      });
      producer.flush();
    });
  }

  private void pulsarToRocketmq(int count) throws Exception {
    Consumer<byte[]> consumer = pulsarConsumer();
    DefaultMQProducer producer = rocketmqProducer();
    List<MessageQueue> queues = producer.fetchPublishMessageQueues(arguments.get("to"));
    measured(count, () -> receiveAll(count, consumer, messages -> {
      Map<MessageQueue, List<Message>> batches = new HashMap<>();
      for (org.apache.pulsar.client.api.Message<byte[]> message : messages) {
        Message copy = new Message(arguments.get("to"), null, message.getKey(), message.getData());
        copyProperties(message.getProperties(), copy);
        copy.putUserProperty("origin", "west");
        copy.putUserProperty("origin-pos", message.getMessageId().toString());
        batches.computeIfAbsent(queues.get(Math.floorMod(message.getKey().hashCode(), queues.size())), queue -> new ArrayList<>()).add(copy);
      }
      sendAll(producer, batches);
      consumer.acknowledge(messages);
    }));
  }

  // --- RocketMQ ---

  private interface Pulled {
    void accept(MessageQueue queue, List<MessageExt> messages) throws Exception;
  }

  /** Pulls every queue from offset 0 on a thread of its own until count messages were handed over in all. */
  private void pullAll(int count, Pulled pulled) throws Exception {
    DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("bridge-" + UUID.randomUUID());
    consumer.setNamesrvAddr(arguments.get("source"));
    consumer.start();
    List<Thread> threads = new ArrayList<>();
    for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(arguments.get("topic"))) {
      Thread thread = new Thread(() -> pullQueue(consumer, queue, count, pulled));
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) thread.join();
  }

  private void pullQueue(DefaultMQPullConsumer consumer, MessageQueue queue, int count, Pulled pulled) {
    long offset = 0;
    try {
      while (handedOver.get() < count) {
        PullResult result = consumer.pull(queue, "*", offset, 1000);
        offset = result.getNextBeginOffset();
        if (result.getMsgFoundList() == null) {
          if (offset >= consumer.maxOffset(queue)) break;
          continue;
        }
        pulled.accept(queue, result.getMsgFoundList());
        handedOver.addAndGet(result.getMsgFoundList().size());
      }
      consumer.updateConsumeOffset(queue, offset);
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  private DefaultMQProducer rocketmqProducer() throws Exception {
    DefaultMQProducer producer = new DefaultMQProducer("bridge");
    producer.setNamesrvAddr(arguments.get("target"));
    // A name of its own: clients of one name share their connections.
    producer.setInstanceName(UUID.randomUUID().toString());
    producer.setMaxMessageSize(MAX_BATCH_BYTES);
    producer.setSendMsgTimeout(30_000);
    producer.start();
    return producer;
  }

  /** One request per queue, side by side; returns when all are stored. */
  private void sendAll(DefaultMQProducer producer, Map<MessageQueue, List<Message>> batches) throws Exception {
    CountDownLatch open = new CountDownLatch(batches.size());
    for (Map.Entry<MessageQueue, List<Message>> batch : batches.entrySet()) {
      int size = batch.getValue().size();
      producer.send(batch.getValue(), batch.getKey(), new SendCallback() {
        @Override
        public void onSuccess(SendResult result) {
          stored.addAndGet(size);
          open.countDown();
        }

        @Override
        public void onException(Throwable error) {
          error.printStackTrace();
          failed.addAndGet(size);
          open.countDown();
        }
      });
    }
    open.await();
  }

  /** The client refuses its own names as a user's. */
  private static void copyProperties(Map<String, String> properties, Message copy) {
    for (Map.Entry<String, String> property : properties.entrySet())
      if (!MessageConst.STRING_HASH_SET.contains(property.getKey())) copy.putUserProperty(property.getKey(), property.getValue());
  }

  // --- Pulsar ---

  private interface Received {
    void accept(Messages<byte[]> messages) throws Exception;
  }

  private static void receiveAll(int count, Consumer<byte[]> consumer, Received received) throws Exception {
    for (int got = 0; got < count; ) {
      Messages<byte[]> messages = consumer.batchReceive();
      if (messages.size() > 0) received.accept(messages);
      got += messages.size();
    }
  }

  private Consumer<byte[]> pulsarConsumer() throws Exception {
    return PulsarClient.builder().serviceUrl(arguments.get("source")).build().newConsumer().topic(arguments.get("topic"))
      .subscriptionName("bridge-" + UUID.randomUUID()).subscriptionType(SubscriptionType.Failover)
      .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).receiverQueueSize(5000)
      .batchReceivePolicy(BatchReceivePolicy.builder().maxNumMessages(1000).maxNumBytes(3 << 20).timeout(10, TimeUnit.MILLISECONDS).build()).subscribe();
  }

  private Producer<byte[]> pulsarProducer() throws Exception {
    return PulsarClient.builder().serviceUrl(arguments.get("target")).build().newProducer().topic(arguments.get("to")).blockIfQueueFull(true)
      .maxPendingMessages(20_000).maxPendingMessagesAcrossPartitions(80_000).batchingMaxMessages(1000).batchingMaxBytes(1 << 20)
      .batchingMaxPublishDelay(5, TimeUnit.MILLISECONDS).hashingScheme(HashingScheme.Murmur3_32Hash).create();
  }

  private void counted(TypedMessageBuilder<byte[]> message) {
    message.sendAsync().whenComplete((id, error) -> (error == null ? stored : failed).incrementAndGet());
  }
}
