import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/** Members of groups, as applications have them: they consume until they are told to stop, and then say what they have got. */
final class Members {
  private final Map<Long, Member> members = new ConcurrentHashMap<>();
  private final AtomicLong last = new AtomicLong();

  /** Starts one; gives its number. "stopAfter": takes no more after so many messages (others stay where they are); "leaveEvery": every so-manieth is not acknowledged. */
  Object start(Call call) throws Exception {
    Member member = new Member(call.text("idProperty", "seq"), call.number("stopAfter", Long.MAX_VALUE), call.number("leaveEvery", 0));
    member.ending = call.has("namesrv") ? rocket(call, member) : pulsar(call, member);
    long number = last.incrementAndGet();
    members.put(number, member);
    return number;
  }

  /** How many messages it has got. */
  Object look(Call call) {
    return need(call.number("member")).received();
  }

  /** Ends it as an application does that is shut down; rows are [lane, place, id, key, acknowledged, microseconds since 1970, messages in its batch] in order of arrival. */
  Object stop(Call call) throws Exception {
    Member member = need(call.number("member"));
    members.remove(call.number("member"));
    member.end();
    for (Object[] row : member.rows()) call.row(row);
    return member.received();
  }

  private Member need(long number) {
    Member member = members.get(number);
    if (member == null) throw new IllegalArgumentException("no such member: " + number);
    return member;
  }

  private interface Ending {
    void run() throws Exception;
  }

  private static Ending rocket(Call call, Member member) throws Exception {
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(call.text("group"));
    consumer.setNamesrvAddr(call.text("namesrv"));
    consumer.setInstanceName(UUID.randomUUID().toString());
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    consumer.setConsumeMessageBatchMaxSize(1);
    consumer.setPersistConsumerOffsetInterval(1_000);
    consumer.subscribe(call.text("topic"), "*");
    // Only a listener without order gives single messages back, to be consumed again later.
    if (member.leaveEvery > 0) consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
      taken(member, messages.get(0)) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER);
    else consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
      boolean taken = taken(member, messages.get(0));
      if (!taken) context.setSuspendCurrentQueueTimeMillis(1_000);
      return taken ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
    });
    consumer.start();
    return consumer::shutdown;
  }

  private static boolean taken(Member member, MessageExt message) {
    return member.take(message.getBrokerName() + ":" + message.getQueueId(), String.valueOf(message.getQueueOffset()),
      message.getUserProperty(member.idProperty), message.getKeys(), 1) == Taken.ACKNOWLEDGED;
  }

  private static Ending pulsar(Call call, Member member) throws Exception {
    // A client of its own: its consumers must not share their connection's fate with the others'.
    PulsarClient client = PulsarClient.builder().serviceUrl(call.text("serviceUrl")).operationTimeout(30, TimeUnit.SECONDS).build();
    Consumer<byte[]> consumer = client.newConsumer().topic(call.text("topic")).subscriptionName(call.text("group"))
      .subscriptionType(SubscriptionType.valueOf(call.text("type", "Failover")))
      .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest)
      // What is acknowledged is told at once, so that stopping loses nothing of it.
      .acknowledgmentGroupTime(0, TimeUnit.MILLISECONDS)
      .messageListener((from, message) -> {
        MessageIdAdv id = (MessageIdAdv) message.getMessageId();
        Taken taken = member.take(lane(message), id.getLedgerId() + ":" + id.getEntryId(), message.getProperty(member.idProperty), message.getKey(),
          Math.max(1, id.getBatchSize()));
        if (taken != Taken.ACKNOWLEDGED) return;
        from.acknowledgeAsync(message);
      }).subscribe();
    return () -> {
      consumer.close();
      client.close();
    };
  }

  private static String lane(Message<byte[]> message) {
    String topic = message.getTopicName();
    int at = topic.lastIndexOf("-partition-");
    return at < 0 ? "0" : topic.substring(at + "-partition-".length());
  }

  private enum Taken { ACKNOWLEDGED, LEFT, REFUSED }

  private static final class Member {
    final String idProperty;
    private final long stopAfter;
    private final long leaveEvery;
    private final List<Object[]> rows = new ArrayList<>();
    private boolean over;
    Ending ending;

    Member(String idProperty, long stopAfter, long leaveEvery) {
      this.idProperty = idProperty;
      this.stopAfter = stopAfter;
      this.leaveEvery = leaveEvery;
    }

    synchronized Taken take(String lane, String place, String id, String key, int batchSize) {
      if (over || rows.size() >= stopAfter) return Taken.REFUSED;
      boolean leaves = leaveEvery > 0 && rows.size() % leaveEvery == leaveEvery - 1;
      long micros = System.currentTimeMillis() * 1_000;
      rows.add(new Object[] {lane, place, id, key, !leaves, micros, batchSize});
      return leaves ? Taken.LEFT : Taken.ACKNOWLEDGED;
    }

    synchronized long received() {
      return rows.size();
    }

    synchronized List<Object[]> rows() {
      return new ArrayList<>(rows);
    }

    void end() throws Exception {
      synchronized (this) {
        over = true;
      }
      ending.run();
    }
  }
}
