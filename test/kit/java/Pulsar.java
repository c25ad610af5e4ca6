import java.security.MessageDigest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pulsar.client.api.ClientBuilder;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.ReaderBuilder;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.api.schema.Field;
import org.apache.pulsar.client.api.schema.GenericRecord;
import org.apache.pulsar.client.api.transaction.Transaction;
import org.apache.pulsar.client.impl.MessageImpl;
import org.apache.pulsar.common.api.proto.KeyValue;
import org.apache.pulsar.common.api.proto.MessageMetadata;

/** Pulsar through its official client. */
final class Pulsar {
  private static final HexFormat HEX = HexFormat.of();

  private final Map<String, PulsarClient> clients = new ConcurrentHashMap<>();
  private final Map<String, Producer<byte[]>> keptProducers = new ConcurrentHashMap<>();
  private final Map<String, PulsarClient> transactionClients = new ConcurrentHashMap<>();
  private final Map<Long, Begun> transactions = new ConcurrentHashMap<>();
  private final AtomicLong lastTransaction = new AtomicLong();

  private PulsarClient client(Call call) {
    return clients.computeIfAbsent(call.text("serviceUrl"), url -> {
      try {
        return builder(url).build();
      } catch (PulsarClientException error) {
        throw new IllegalStateException(error);
      }
    });
  }

  private static ClientBuilder builder(String url) {
    return PulsarClient.builder().serviceUrl(url).operationTimeout(30, TimeUnit.SECONDS);
  }

  // --- transactions ---

  /** Begins one; gives a number for it. Messages are sent in it by "send". */
  Object begin(Call call) throws Exception {
    PulsarClient client = transactionClients.computeIfAbsent(call.text("serviceUrl"), url -> {
      try {
        return builder(url).enableTransaction(true).build();
      } catch (PulsarClientException error) {
        throw new IllegalStateException(error);
      }
    });
    long number = lastTransaction.incrementAndGet();
    transactions.put(number, new Begun(client, client.newTransaction().withTransactionTimeout(5, TimeUnit.MINUTES).build().get()));
    return number;
  }

  Object end(Call call) throws Exception {
    Transaction transaction = transactions.remove(call.number("transaction")).transaction();
    (call.flag("commit") ? transaction.commit() : transaction.abort()).get();
    return true;
  }

  private record Begun(PulsarClient client, Transaction transaction) {}

  // --- writing ---

  /** See {@link PulsarLoad}. */
  Object load(Call call) throws Exception {
    return new PulsarLoad(client(call), client(call).getPartitionsForTopic(call.text("topic")).get(), call).fill();
  }

  /** See {@link PulsarSend}. */
  Object send(Call call) throws Exception {
    Begun begun = call.has("transaction") ? transactions.get(call.number("transaction")) : null;
    PulsarClient client = begun == null ? client(call) : begun.client();
    List<String> partitions = client.getPartitionsForTopic(call.text("topic")).get();
    return new PulsarSend(client, partitions, call, keptProducers, begun == null ? null : begun.transaction()).send();
  }

  // --- reading ---

  private interface Each {
    void accept(int partition, Message<byte[]> message) throws Exception;
  }

  /** Hands over every message there is, partition by partition, from the earliest to the one that is last now. */
  private void each(Call call, Each each) throws Exception {
    List<String> partitions = client(call).getPartitionsForTopic(call.text("topic")).get();
    for (int partition = 0; partition < partitions.size(); partition++) {
      ReaderBuilder<byte[]> builder = client(call).newReader().topic(partitions.get(partition)).startMessageId(MessageId.earliest).receiverQueueSize(5000);
      if (call.has("privateKey")) builder.defaultCryptoKeyReader(call.text("privateKey"));
      try (Reader<byte[]> reader = builder.create()) {
        while (reader.hasMessageAvailable()) each.accept(partition, reader.readNext());
      }
    }
  }

  /** Streams every message of a topic; "compact" rows are [lane, place, id, key, publishTime], where place counts the messages read. */
  Object read(Call call) throws Exception {
    boolean compact = call.flag("compact");
    String idProperty = call.text("idProperty", "seq");
    RawEntries entries = compact || call.flag("decoded") ? null : new RawEntries(call.text("adminUrl"));
    AtomicLong read = new AtomicLong();
    each(call, (partition, message) -> {
      long place = read.getAndIncrement();
      call.row(compact ? new Object[] {Integer.toString(partition), place, message.getProperty(idProperty), key(message), message.getPublishTime()} : full(partition, message, entries));
    });
    return read.get();
  }

  /** Streams what each message says by the schema that it names: a map of its fields. */
  Object fields(Call call) throws Exception {
    AtomicLong read = new AtomicLong();
    for (String partition : client(call).getPartitionsForTopic(call.text("topic")).get()) {
      try (Reader<GenericRecord> reader = client(call).newReader(Schema.AUTO_CONSUME()).topic(partition).startMessageId(MessageId.earliest).create()) {
        while (reader.hasMessageAvailable()) {
          GenericRecord record = reader.readNext().getValue();
          Map<String, Object> fields = new TreeMap<>();
          for (Field field : record.getFields()) fields.put(field.getName(), record.getField(field) == null ? null : record.getField(field).toString());
          call.row(fields);
          read.incrementAndGet();
        }
      }
    }
    return read.get();
  }

  /** Counts the messages and the different values of a numeric property: cheap enough for a million. */
  Object count(Call call) throws Exception {
    String idProperty = call.text("idProperty", "seq");
    AtomicLong read = new AtomicLong();
    BitSet seen = new BitSet();
    each(call, (partition, message) -> {
      read.incrementAndGet();
      seen.set(Integer.parseInt(message.getProperty(idProperty)));
    });
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("messages", read.get());
    result.put("distinct", seen.cardinality());
    return result;
  }

  private static Object key(Message<byte[]> message) {
    return message.hasKey() ? message.getKey() : null;
  }

  private static Map<String, Object> full(int partition, Message<byte[]> message, RawEntries entries) throws Exception {
    MessageIdAdv id = (MessageIdAdv) message.getMessageId();
    MessageMetadata entry = ((MessageImpl<byte[]>) message).getMessageBuilder();
    byte[] body = message.getData() == null ? new byte[0] : message.getData();
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("partition", partition);
    row.put("messageId", id.getLedgerId() + ":" + id.getEntryId() + ":" + id.getBatchIndex());
    row.put("batchSize", id.getBatchSize());
    row.put("producer", message.getProducerName());
    row.put("sequenceId", message.getSequenceId());
    row.put("hasKey", message.hasKey());
    row.put("key", key(message));
    row.put("keyIsBase64", message.hasBase64EncodedKey());
    row.put("nullKey", entry.isNullPartitionKey());
    row.put("orderingKeyHex", message.hasOrderingKey() ? HEX.formatHex(message.getOrderingKey()) : null);
    row.put("properties", new TreeMap<>(message.getProperties()));
    row.put("propertyList", entries == null ? List.of() : id.getBatchIndex() < 0 ? pairs(entry.getPropertiesList()) : entries.properties(message.getTopicName(), id));
    row.put("eventTime", message.getEventTime());
    row.put("publishTime", message.getPublishTime());
    row.put("brokerTime", message.getBrokerPublishTime().orElse(0L));
    row.put("deliverAtTime", entry.hasDeliverAtTime() ? entry.getDeliverAtTime() : 0);
    row.put("schemaVersionHex", message.getSchemaVersion() == null ? null : HEX.formatHex(message.getSchemaVersion()));
    row.put("nullValue", entry.isNullValue());
    row.put("replicatedFrom", message.getReplicatedFrom());
    row.put("bodySha256", HEX.formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
    row.put("bodyLength", body.length);
    row.put("bodyHex", body.length <= 1024 ? HEX.formatHex(body) : null);
    row.put("entry", entry(entry));
    return row;
  }

  /** What stands in the entry's own metadata, which consumers of a batch do not see. */
  private static Map<String, Object> entry(MessageMetadata metadata) {
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("producer", metadata.getProducerName());
    entry.put("sequenceId", metadata.getSequenceId());
    entry.put("highestSequenceId", metadata.hasHighestSequenceId() ? metadata.getHighestSequenceId() : null);
    entry.put("compression", metadata.getCompression().name());
    entry.put("messages", metadata.hasNumMessagesInBatch() ? metadata.getNumMessagesInBatch() : null);
    entry.put("properties", pairs(metadata.getPropertiesList()));
    return entry;
  }

  static List<String[]> pairs(List<KeyValue> properties) {
    List<String[]> pairs = new ArrayList<>();
    for (KeyValue property : properties) pairs.add(new String[] {property.getKey(), property.getValue()});
    return pairs;
  }

  /**
   * Follows a topic from its end and notes when each message arrives; first row is "ready". Rows are [id, arrival in microseconds since 1970].
   * Ends after "count" messages or "timeoutMs".
   */
  Object tail(Call call) throws Exception {
    String idProperty = call.text("idProperty", "seq");
    long until = System.currentTimeMillis() + call.number("timeoutMs");
    List<Object[]> arrived = new ArrayList<>();
    try (Reader<byte[]> reader = client(call).newReader().topic(call.text("topic")).startMessageId(MessageId.latest).create()) {
      call.row("ready");
      call.flush();
      while (arrived.size() < call.number("count") && System.currentTimeMillis() < until) {
        Message<byte[]> message = reader.readNext(200, TimeUnit.MILLISECONDS);
        if (message == null) continue;
        Instant now = Instant.now();
        arrived.add(new Object[] {message.getProperty(idProperty), now.getEpochSecond() * 1_000_000 + now.getNano() / 1000});
      }
    }
    for (Object[] row : arrived) call.row(row);
    return arrived.size();
  }

  /** Several consumers on one subscription; rows are [consumer, lane, place, id, key] in order of arrival. Ends after "expect" messages or a quiet time. */
  Object consume(Call call) throws Exception {
    String idProperty = call.text("idProperty", "seq");
    long expect = call.number("expect");
    long quietMs = call.number("quietMs", 5_000);
    AtomicLong places = new AtomicLong();
    AtomicBoolean over = new AtomicBoolean();
    AtomicLong lastMs = new AtomicLong(System.currentTimeMillis());
    List<Consumer<byte[]>> consumers = new ArrayList<>();
    try {
      for (int number = 0; number < call.number("consumers", 1); number++) {
        int me = number;
        consumers.add(client(call).newConsumer().topic(call.text("topic")).subscriptionName(call.text("subscription")).consumerName("eyes-" + me)
          .subscriptionType(SubscriptionType.valueOf(call.text("type", "Key_Shared"))).subscriptionInitialPosition(SubscriptionInitialPosition.Earliest)
          .messageListener((consumer, message) -> {
            synchronized (places) {
              // When the first consumer closes, the others get what it has not acknowledged yet.
              if (over.get()) return;
              call.row(new Object[] {me, partition(message), places.getAndIncrement(), message.getProperty(idProperty), key(message)});
            }
            lastMs.set(System.currentTimeMillis());
            consumer.acknowledgeAsync(message);
          }).subscribe());
      }
      while (places.get() < expect && System.currentTimeMillis() - lastMs.get() < quietMs) Thread.sleep(50);
    } finally {
      synchronized (places) {
        over.set(true);
      }
      for (Consumer<byte[]> consumer : consumers) consumer.close();
    }
    return places.get();
  }

  private static String partition(Message<byte[]> message) {
    String topic = message.getTopicName();
    int at = topic.lastIndexOf("-partition-");
    return at < 0 ? "0" : topic.substring(at + "-partition-".length());
  }
}
