import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.exception.OffsetNotFoundException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageBatch;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** RocketMQ through its official client and admin tools. */
final class Rocket {
  private static final HexFormat HEX = HexFormat.of();
  private static final long ROUTE_WAIT_MS = 30_000;
  private static final Comparator<MessageQueue> QUEUE_ORDER = Comparator.comparing(MessageQueue::getBrokerName).thenComparing(MessageQueue::getQueueId);

  private final Map<String, DefaultMQAdminExt> admins = new ConcurrentHashMap<>();
  private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
  private final Map<String, DefaultMQPullConsumer> pullers = new ConcurrentHashMap<>();

  // --- clients, one of each per cluster; a name of its own each, because clients of one name share their connections ---

  private DefaultMQAdminExt admin(Call call) {
    return admins.computeIfAbsent(call.text("namesrv"), namesrv -> {
      DefaultMQAdminExt admin = new DefaultMQAdminExt(20_000);
      admin.setNamesrvAddr(namesrv);
      admin.setInstanceName(UUID.randomUUID().toString());
      return started(admin, admin::start);
    });
  }

  private DefaultMQProducer producer(Call call) {
    String compression = call.text("compress", "ZLIB");
    int above = (int) call.number("compressAbove", 4 << 20);
    return producers.computeIfAbsent(call.text("namesrv") + compression + above, key -> {
      DefaultMQProducer producer = new DefaultMQProducer("eyes-producer");
      producer.setCompressType(CompressionType.of(compression));
      producer.setCompressMsgBodyOverHowmuch(above);
      return startedProducer(producer, call);
    });
  }

  private static <T extends DefaultMQProducer> T startedProducer(T producer, Call call) {
    producer.setNamesrvAddr(call.text("namesrv"));
    producer.setInstanceName(UUID.randomUUID().toString());
    producer.setMaxMessageSize(8 << 20);
    producer.setSendMsgTimeout(30_000);
    return started(producer, producer::start);
  }

  private DefaultMQPullConsumer puller(Call call) {
    return pullers.computeIfAbsent(call.text("namesrv"), namesrv -> {
      DefaultMQPullConsumer puller = new DefaultMQPullConsumer("eyes-reader");
      puller.setNamesrvAddr(namesrv);
      puller.setInstanceName(UUID.randomUUID().toString());
      return started(puller, puller::start);
    });
  }

  private interface Start {
    void run() throws MQClientException;
  }

  private static <T> T started(T client, Start start) {
    try {
      start.run();
      return client;
    } catch (MQClientException error) {
      throw new IllegalStateException(error);
    }
  }

  // --- topics ---

  Object createTopic(Call call) throws Exception {
    DefaultMQAdminExt admin = admin(call);
    int queues = (int) call.number("queues", 8);
    TopicConfig config = new TopicConfig(call.text("topic"), queues, queues);
    if (call.has("messageType")) config.setAttributes(Map.of("+message.type", call.text("messageType")));
    List<String> masters = masters(admin);
    for (String master : masters) admin.createAndUpdateTopicConfig(master, config);
    long until = System.currentTimeMillis() + ROUTE_WAIT_MS;
    while (true) {
      try {
        if (admin.examineTopicRouteInfo(config.getTopicName()).getQueueDatas().size() == masters.size()) return masters;
      } catch (MQClientException notYet) {
        if (System.currentTimeMillis() > until) throw notYet;
      }
      Thread.sleep(20);
    }
  }

  Object deleteTopic(Call call) throws Exception {
    DefaultMQAdminExt admin = admin(call);
    String topic = call.text("topic");
    try {
      admin.deleteTopicInBroker(Set.copyOf(masters(admin)), topic);
    } catch (MQClientException error) {
      // A broker without the timer wheel deletes the topic and then stumbles over the wheel's missing counters.
      if (!error.getMessage().contains("getTimerMessageStore")) throw error;
    }
    admin.deleteTopicInNameServer(Set.of(call.text("namesrv").split(";")), topic);
    return null;
  }

  private static List<String> masters(DefaultMQAdminExt admin) throws Exception {
    ClusterInfo cluster = admin.examineBrokerClusterInfo();
    List<String> masters = new ArrayList<>();
    for (BrokerData broker : cluster.getBrokerAddrTable().values()) {
      String master = broker.getBrokerAddrs().get(0L);
      if (master != null) masters.add(master);
    }
    return masters;
  }

  Object topicStatus(Call call) throws Exception {
    List<Map<String, Object>> queues = new ArrayList<>();
    for (Map.Entry<MessageQueue, TopicOffset> entry : sorted(admin(call).examineTopicStats(call.text("topic")).getOffsetTable()).entrySet()) {
      Map<String, Object> queue = queue(entry.getKey());
      queue.put("min", entry.getValue().getMinOffset());
      queue.put("max", entry.getValue().getMaxOffset());
      queues.add(queue);
    }
    return queues;
  }

  /** Asks the broker as an administrator does: a consumer of that group would become a member and take queues away from the others. */
  Object groupOffsets(Call call) throws Exception {
    DefaultMQAdminExt admin = admin(call);
    String topic = call.text("topic");
    Map<String, String> masters = new TreeMap<>();
    for (BrokerData broker : admin.examineTopicRouteInfo(topic).getBrokerDatas()) masters.put(broker.getBrokerName(), broker.getBrokerAddrs().get(0L));
    List<Map<String, Object>> queues = new ArrayList<>();
    for (Map.Entry<MessageQueue, TopicOffset> entry : sorted(admin.examineTopicStats(topic).getOffsetTable()).entrySet()) {
      Map<String, Object> queue = queue(entry.getKey());
      queue.put("committed", committed(admin, masters.get(entry.getKey().getBrokerName()), call.text("group"), entry.getKey()));
      queue.put("max", entry.getValue().getMaxOffset());
      queues.add(queue);
    }
    return queues;
  }

  private static Long committed(DefaultMQAdminExt admin, String master, String group, MessageQueue queue) throws Exception {
    QueryConsumerOffsetRequestHeader request = new QueryConsumerOffsetRequestHeader();
    request.setConsumerGroup(group);
    request.setTopic(queue.getTopic());
    request.setQueueId(queue.getQueueId());
    // Without it a group that never was here has the offset 0.
    request.setSetZeroIfNotFound(false);
    MQClientAPIImpl client = admin.getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl();
    try {
      return client.queryConsumerOffset(master, request, 5_000);
    } catch (OffsetNotFoundException none) {
      return null;
    }
  }

  private static Map<String, Object> queue(MessageQueue from) {
    Map<String, Object> queue = new LinkedHashMap<>();
    queue.put("broker", from.getBrokerName());
    queue.put("queue", from.getQueueId());
    return queue;
  }

  private static <V> Map<MessageQueue, V> sorted(Map<MessageQueue, V> table) {
    Map<MessageQueue, V> sorted = new TreeMap<>(QUEUE_ORDER);
    sorted.putAll(table);
    return sorted;
  }

  // --- writing ---

  /** Sends the messages as described, one by one or (batch) in one request; a batch is not checked, so that it can hold what a client refuses. */
  Object send(Call call) throws Exception {
    List<Message> messages = new ArrayList<>();
    for (JsonElement element : call.list("messages")) messages.add(message(call.text("topic"), element.getAsJsonObject()));
    if (call.has("transaction")) return sendInTransaction(call, messages);
    DefaultMQProducer producer = producer(call);
    List<Object> results = new ArrayList<>();
    if (call.flag("batch")) {
      results.add(result(sendBatch(producer, messages, queueOf(producer, call, (int) call.number("queue", 0)))));
      return results;
    }
    for (int i = 0; i < messages.size(); i++) {
      JsonObject wanted = call.list("messages").get(i).getAsJsonObject();
      Message message = messages.get(i);
      MessageQueue queue = wanted.has("queue") ? queueOf(producer, call, wanted.get("queue").getAsInt()) : null;
      SendResult sent = Patience.send(() -> queue == null ? producer.send(message) : producer.send(message, queue));
      results.add(result(sent));
    }
    return results;
  }

  private static SendResult sendBatch(DefaultMQProducer producer, List<Message> messages, MessageQueue queue) throws Exception {
    MessageBatch batch = MessageBatch.generateFromList(messages);
    for (Message message : batch) MessageClientIDSetter.setUniqID(message);
    MessageClientIDSetter.setUniqID(batch);
    batch.setBody(batch.encode());
    return Patience.send(() -> producer.send(batch, queue));
  }

  private static Object sendInTransaction(Call call, List<Message> messages) throws Exception {
    LocalTransactionState end = "commit".equals(call.text("transaction")) ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
    TransactionMQProducer producer = new TransactionMQProducer("eyes-transactions");
    producer.setTransactionListener(new TransactionListener() {
      @Override
      public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
        return end;
      }

      @Override
      public LocalTransactionState checkLocalTransaction(MessageExt message) {
        return end;
      }
    });
    startedProducer(producer, call);
    try {
      List<Object> results = new ArrayList<>();
      for (Message message : messages) results.add(result(producer.sendMessageInTransaction(message, null)));
      return results;
    } finally {
      producer.shutdown();
    }
  }

  private static Message message(String topic, JsonObject wanted) {
    byte[] body = wanted.has("bodyHex") ? HEX.parseHex(wanted.get("bodyHex").getAsString()) : text(wanted, "body", "").getBytes(StandardCharsets.UTF_8);
    Message message = new Message(topic, body);
    // The accessor takes reserved names and empty values, as a producer in another language may send them.
    if (wanted.has("properties")) Call.strings(wanted.getAsJsonObject("properties")).forEach((name, value) -> MessageAccessor.putProperty(message, name, value));
    if (wanted.has("tags")) message.setTags(text(wanted, "tags", ""));
    if (wanted.has("keys")) message.setKeys(text(wanted, "keys", ""));
    if (wanted.has("shardingKey")) MessageAccessor.putProperty(message, MessageConst.PROPERTY_SHARDING_KEY, text(wanted, "shardingKey", ""));
    if (wanted.has("flag")) message.setFlag(wanted.get("flag").getAsInt());
    if (wanted.has("delayLevel")) message.setDelayTimeLevel(wanted.get("delayLevel").getAsInt());
    if (wanted.has("delayMs")) message.setDelayTimeMs(wanted.get("delayMs").getAsLong());
    return message;
  }

  private static String text(JsonObject object, String name, String otherwise) {
    return object.has(name) ? object.get(name).getAsString() : otherwise;
  }

  private static Map<String, Object> result(SendResult sent) {
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("status", sent.getSendStatus().name());
    result.put("uniqKey", sent.getMsgId());
    result.put("offsetMsgId", sent.getOffsetMsgId());
    result.put("queue", sent.getMessageQueue().getQueueId());
    result.put("offset", sent.getQueueOffset());
    return result;
  }

  private static MessageQueue queueOf(DefaultMQProducer producer, Call call, int queueId) throws MQClientException {
    for (MessageQueue queue : producer.fetchPublishMessageQueues(call.text("topic"))) if (queue.getQueueId() == queueId) return queue;
    throw new IllegalArgumentException("no queue " + queueId);
  }

  /** See {@link Load}. */
  Object load(Call call) throws Exception {
    DefaultMQProducer producer = producer(call);
    List<MessageQueue> queues = new ArrayList<>(producer.fetchPublishMessageQueues(call.text("topic")));
    queues.sort(QUEUE_ORDER);
    return new Load(call).fill(producer, queues);
  }

  // --- reading ---

  /** Streams every message of a topic, queue by queue; "compact" rows are [lane, place, id, key, storeTimestamp]. */
  Object read(Call call) throws Exception {
    String topic = call.text("topic");
    boolean compact = call.flag("compact");
    String idProperty = call.text("idProperty", "seq");
    awaitVisible(call, topic);
    DefaultMQPullConsumer puller = puller(call);
    List<MessageQueue> queues = new ArrayList<>(puller.fetchSubscribeMessageQueues(topic));
    queues.sort(QUEUE_ORDER);
    int read = 0;
    for (MessageQueue queue : queues) {
      long max = puller.maxOffset(queue);
      for (long offset = puller.minOffset(queue); offset < max; ) {
        PullResult pulled = puller.pull(queue, "*", offset, 32);
        if (pulled.getMsgFoundList() != null) {
          for (MessageExt message : pulled.getMsgFoundList()) {
            call.row(compact ? compact(message, idProperty) : full(message));
            read++;
          }
        }
        offset = Math.max(offset, pulled.getNextBeginOffset());
      }
    }
    return read;
  }

  Object count(Call call) throws Exception {
    awaitVisible(call, call.text("topic"));
    return watch(call).count();
  }

  Object tail(Call call) throws Exception {
    return watch(call).tail(call);
  }

  private RocketWatch watch(Call call) throws Exception {
    List<MessageQueue> queues = new ArrayList<>(puller(call).fetchSubscribeMessageQueues(call.text("topic")));
    queues.sort(QUEUE_ORDER);
    return new RocketWatch(puller(call), queues, call);
  }

  /** A just acknowledged message shows in the broker's maximum only after some milliseconds; "expect" waits for it, 30 s at most. */
  private void awaitVisible(Call call, String topic) throws Exception {
    if (!call.has("expect")) return;
    long until = System.currentTimeMillis() + ROUTE_WAIT_MS;
    while (System.currentTimeMillis() < until) {
      long visible = 0;
      for (TopicOffset offset : admin(call).examineTopicStats(topic).getOffsetTable().values()) visible += offset.getMaxOffset() - offset.getMinOffset();
      if (visible >= call.number("expect")) return;
      Thread.sleep(100);
    }
  }

  private static Object[] compact(MessageExt message, String idProperty) {
    String key = message.getProperty(MessageConst.PROPERTY_SHARDING_KEY);
    if (key == null && message.getKeys() != null) key = message.getKeys().split(MessageConst.KEY_SEPARATOR)[0];
    return new Object[] {message.getBrokerName() + ":" + message.getQueueId(), message.getQueueOffset(), message.getProperty(idProperty), key, message.getStoreTimestamp()};
  }

  private static Map<String, Object> full(MessageExt message) throws Exception {
    Map<String, Object> row = new LinkedHashMap<>();
    byte[] body = message.getBody() == null ? new byte[0] : message.getBody();
    row.put("broker", message.getBrokerName());
    row.put("queue", message.getQueueId());
    row.put("offset", message.getQueueOffset());
    Map<String, String> properties = new TreeMap<>(message.getProperties());
    // Not stored: the client adds them to what it pulls.
    properties.remove(MessageConst.PROPERTY_MIN_OFFSET);
    properties.remove(MessageConst.PROPERTY_MAX_OFFSET);
    row.put("properties", properties);
    row.put("bodySha256", HEX.formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
    row.put("bodyLength", body.length);
    row.put("bodyHex", body.length <= 1024 ? HEX.formatHex(body) : null);
    row.put("flag", message.getFlag());
    row.put("sysFlag", message.getSysFlag());
    row.put("bornTimestamp", message.getBornTimestamp());
    row.put("storeTimestamp", message.getStoreTimestamp());
    row.put("reconsumeTimes", message.getReconsumeTimes());
    row.put("msgId", message.getMsgId());
    return row;
  }
}
