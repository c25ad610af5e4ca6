import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Independent eyes for the tests: what the official Java clients write to and read from the brokers. One long-lived process, because a
 * JVM takes seconds to start. A request is one JSON line on stdin ({"id":1,"verb":"rmq-read",...}); it is answered by any number of
 * {"id":1,"rows":[...]} and one {"id":1,"done":...} or {"id":1,"error":"..."}. Requests run side by side. The end of stdin ends the process.
 */
public final class Eyes {
  private Eyes() {}

  public static void main(String[] arguments) throws Exception {
    PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    // The clients' loggers write to stdout; an answer between their lines would be lost.
    System.setOut(System.err);
    ExecutorService threads = Executors.newCachedThreadPool();
    Rocket rocket = new Rocket();
    Pulsar pulsar = new Pulsar();
    Members members = new Members();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Call call = new Call(answers, line);
      threads.execute(() -> answer(call, rocket, pulsar, members));
    }
    // Client threads are not daemons; without this the process would outlive the tests.
    Runtime.getRuntime().halt(0);
  }

  private static void answer(Call call, Rocket rocket, Pulsar pulsar, Members members) {
    try {
      call.done(switch (call.verb()) {
        case "ping" -> "pong";
        case "rmq-create-topic" -> rocket.createTopic(call);
        case "rmq-delete-topic" -> rocket.deleteTopic(call);
        case "rmq-send" -> rocket.send(call);
        case "rmq-load" -> rocket.load(call);
        case "rmq-tail" -> rocket.tail(call);
        case "rmq-count" -> rocket.count(call);
        case "rmq-read" -> rocket.read(call);
        case "rmq-topic-status" -> rocket.topicStatus(call);
        case "rmq-group-offsets" -> rocket.groupOffsets(call);
        case "pulsar-begin" -> pulsar.begin(call);
        case "pulsar-end" -> pulsar.end(call);
        case "pulsar-fields" -> pulsar.fields(call);
        case "pulsar-send" -> pulsar.send(call);
        case "pulsar-load" -> pulsar.load(call);
        case "pulsar-read" -> pulsar.read(call);
        case "pulsar-count" -> pulsar.count(call);
        case "pulsar-tail" -> pulsar.tail(call);
        case "pulsar-consume" -> pulsar.consume(call);
        case "member-start" -> members.start(call);
        case "member-look" -> members.look(call);
        case "member-stop" -> members.stop(call);
        default -> throw new IllegalArgumentException("no such verb: " + call.verb());
      });
    } catch (Throwable error) {
      error.printStackTrace();
      call.failed(error);
    }
  }
}
