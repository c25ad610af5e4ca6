import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.BatcherBuilder;
import org.apache.pulsar.client.api.CompressionType;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.TypedMessageBuilder;
import org.apache.pulsar.client.impl.TypedMessageBuilderImpl;
import org.apache.pulsar.client.api.transaction.Transaction;
import org.apache.pulsar.client.impl.transaction.TransactionImpl;

/**
 * Sends messages to a Pulsar topic as they are described, one by one, or (batch) all of a partition in one entry. "keep": the next call with the same
 * options uses the same producers; one call at a time per partition.
 */
final class PulsarSend {
  private static final HexFormat HEX = HexFormat.of();
  private static final long FOREVER_MS = 600_000;

  private final PulsarClient client;
  private final List<String> partitions;
  private final Call call;
  private final Map<Integer, Producer<byte[]>> producers = new TreeMap<>();
  /** Outlives the call; null where producers end with it. */
  private final Map<String, Producer<byte[]>> kept;
  /** Null: none. */
  private final Transaction transaction;

  PulsarSend(PulsarClient client, List<String> partitions, Call call, Map<String, Producer<byte[]>> kept, Transaction transaction) {
    this.client = client;
    this.partitions = partitions;
    this.call = call;
    this.kept = call.flag("keep") ? kept : null;
    this.transaction = transaction;
  }

  Object send() throws Exception {
    boolean batch = call.flag("batch");
    List<CompletableFuture<MessageId>> sent = new ArrayList<>();
    List<Integer> chosen = new ArrayList<>();
    try {
      for (JsonElement element : call.list("messages")) {
        JsonObject wanted = element.getAsJsonObject();
        int partition = wanted.has("partition") ? wanted.get("partition").getAsInt() : 0;
        Producer<byte[]> producer = producer(partition, batch);
        sent.add(message(producer, wanted).sendAsync());
        chosen.add(partition);
        if (!batch) sent.get(sent.size() - 1).get();
      }
      for (Producer<byte[]> producer : producers.values()) producer.flush();
      List<Object> results = new ArrayList<>();
      for (int i = 0; i < sent.size(); i++) results.add(result(chosen.get(i), (MessageIdAdv) sent.get(i).get()));
      return results;
    } finally {
      if (kept == null) for (Producer<byte[]> producer : producers.values()) producer.close();
    }
  }

  private Producer<byte[]> producer(int partition, boolean batch) throws Exception {
    Producer<byte[]> open = producers.get(partition);
    if (open != null) return open;
    // With the topic's schema, the client puts its version on each message.
    Schema<byte[]> schema = call.flag("schema") ? Schema.AUTO_PRODUCE_BYTES() : Schema.BYTES;
    ProducerBuilder<byte[]> builder = client.newProducer(schema).topic(partitions.get(partition)).enableBatching(batch)
      .compressionType(CompressionType.valueOf(call.text("compression", "NONE")));
    if (batch) builder.batchingMaxMessages(100_000).batchingMaxBytes(4 << 20).batchingMaxPublishDelay(FOREVER_MS, TimeUnit.MILLISECONDS);
    if (call.flag("keyBased")) builder.batcherBuilder(BatcherBuilder.KEY_BASED);
    if (call.flag("chunking")) builder.enableChunking(true).chunkMaxMessageSize((int) call.number("chunkBytes", 1 << 20));
    if (call.has("publicKey")) builder.defaultCryptoKeyReader(call.text("publicKey")).addEncryptionKey("key");
    // The client asks for it.
    if (transaction != null) builder.sendTimeout(0, TimeUnit.SECONDS);
    if (call.has("producer")) builder.producerName(call.text("producer") + "-" + partition);
    String name = partitions.get(partition) + " " + batch + " " + call.text("compression", "NONE");
    Producer<byte[]> before = kept == null ? null : kept.get(name);
    Producer<byte[]> producer = before == null ? builder.create() : before;
    // The client would do it with the first message, and put that into a batch only when the flush is over.
    if (transaction != null) ((TransactionImpl) transaction).registerProducedTopic(producer.getTopic()).get();
    if (kept != null) kept.put(name, producer);
    producers.put(partition, producer);
    return producer;
  }

  private TypedMessageBuilder<byte[]> message(Producer<byte[]> producer, JsonObject wanted) {
    TypedMessageBuilder<byte[]> message = transaction == null ? producer.newMessage() : producer.newMessage(transaction);
    if (wanted.has("bodyHex")) message.value(HEX.parseHex(wanted.get("bodyHex").getAsString()));
    else message.value(wanted.has("body") ? wanted.get("body").getAsString().getBytes(StandardCharsets.UTF_8) : null);
    if (wanted.has("key")) message.key(wanted.get("key").getAsString());
    if (wanted.has("keyHex")) message.keyBytes(HEX.parseHex(wanted.get("keyHex").getAsString()));
    // As the client says it of a pair with a null key, without the schema that pairs need.
    if (wanted.has("nullKey")) ((TypedMessageBuilderImpl<byte[]>) message).getMetadataBuilder().setNullPartitionKey(true);
    if (wanted.has("orderingKeyHex")) message.orderingKey(HEX.parseHex(wanted.get("orderingKeyHex").getAsString()));
    if (wanted.has("properties")) Call.strings(wanted.getAsJsonObject("properties")).forEach(message::property);
    if (wanted.has("eventTime")) message.eventTime(wanted.get("eventTime").getAsLong());
    if (wanted.has("sequenceId")) message.sequenceId(wanted.get("sequenceId").getAsLong());
    if (wanted.has("deliverAfterMs")) message.deliverAfter(wanted.get("deliverAfterMs").getAsLong(), TimeUnit.MILLISECONDS);
    return message;
  }

  private static Map<String, Object> result(int partition, MessageIdAdv id) {
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("partition", partition);
    result.put("messageId", id.getLedgerId() + ":" + id.getEntryId() + ":" + id.getBatchIndex());
    return result;
  }
}
