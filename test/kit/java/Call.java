import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** One request: its arguments, and the rows it streams back. A request is answered by one thread alone. */
final class Call {
  private static final Gson GSON = new Gson().newBuilder().serializeNulls().disableHtmlEscaping().create();
  private static final int ROWS_PER_LINE = 500;

  private final PrintStream out;
  private final JsonObject request;
  private List<Object> rows = new ArrayList<>();

  Call(PrintStream out, String line) {
    this.out = out;
    this.request = GSON.fromJson(line, JsonObject.class);
  }

  String verb() {
    return text("verb");
  }

  boolean has(String name) {
    return request.has(name) && !request.get(name).isJsonNull();
  }

  private JsonElement need(String name) {
    if (!has(name)) throw new IllegalArgumentException("argument missing: " + name);
    return request.get(name);
  }

  String text(String name) {
    return need(name).getAsString();
  }

  String text(String name, String otherwise) {
    return has(name) ? text(name) : otherwise;
  }

  long number(String name) {
    return need(name).getAsLong();
  }

  long number(String name, long otherwise) {
    return has(name) ? number(name) : otherwise;
  }

  boolean flag(String name) {
    return has(name) && need(name).getAsBoolean();
  }

  JsonArray list(String name) {
    return need(name).getAsJsonArray();
  }

  static Map<String, String> strings(JsonObject object) {
    Map<String, String> map = new TreeMap<>();
    for (Map.Entry<String, JsonElement> entry : object.entrySet()) map.put(entry.getKey(), entry.getValue().getAsString());
    return map;
  }

  /** Streams one row; rows travel many to a line, because a line each costs more than the reading. */
  void row(Object row) {
    rows.add(row);
    if (rows.size() >= ROWS_PER_LINE) flush();
  }

  void flush() {
    if (rows.isEmpty()) return;
    say("rows", rows);
    rows = new ArrayList<>();
  }

  void done(Object result) {
    flush();
    say("done", result);
  }

  void failed(Throwable error) {
    String message = error.getMessage() == null ? "" : ": " + error.getMessage();
    say("error", error.getClass().getSimpleName() + message);
  }

  private void say(String kind, Object value) {
    JsonObject answer = new JsonObject();
    answer.add("id", request.get("id"));
    answer.add(kind, GSON.toJsonTree(value));
    String line = GSON.toJson(answer);
    synchronized (out) {
      out.println(line);
      out.flush();
    }
  }
}
