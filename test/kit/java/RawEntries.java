import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.common.api.proto.SingleMessageMetadata;
import org.apache.pulsar.common.protocol.Commands;
import org.apache.pulsar.shade.io.netty.buffer.ByteBuf;
import org.apache.pulsar.shade.io.netty.buffer.Unpooled;

/**
 * Batches as the admin REST shows them. The client turns a message's properties into a map, which hides their order and doubled
 * names; here they are as they were written.
 */
final class RawEntries {
  private final HttpClient http = HttpClient.newHttpClient();
  private final String adminUrl;
  private String newest = "";
  private List<List<String[]>> newestProperties = List.of();

  RawEntries(String adminUrl) {
    this.adminUrl = adminUrl;
  }

  /** The properties of one message of a batch. */
  List<String[]> properties(String topic, MessageIdAdv id) throws Exception {
    String entry = topic.replace("://", "/") + "/ledger/" + id.getLedgerId() + "/entry/" + id.getEntryId();
    if (!entry.equals(newest)) {
      newestProperties = read(entry, id.getBatchSize());
      newest = entry;
    }
    return newestProperties.get(id.getBatchIndex());
  }

  private List<List<String[]>> read(String entry, int count) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(adminUrl + "/admin/v2/" + entry)).build();
    HttpResponse<byte[]> response = http.send(request, HttpResponse.BodyHandlers.ofByteArray());
    if (response.statusCode() != 200) throw new IllegalStateException(entry + ": " + response.statusCode());
    // The broker has decompressed it.
    ByteBuf batch = Unpooled.wrappedBuffer(response.body());
    List<List<String[]>> messages = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      SingleMessageMetadata metadata = new SingleMessageMetadata();
      Commands.deSerializeSingleMessageInBatch(batch, metadata, i, count);
      messages.add(Pulsar.pairs(metadata.getPropertiesList()));
    }
    return messages;
  }
}
