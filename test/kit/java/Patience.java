import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.remoting.protocol.RemotingSysResponseCode;

/**
 * Asks a RocketMQ broker again that was busy: SYSTEM_BUSY says that the request waited for more than 200 ms (waitTimeMillsInSendQueue) and was
 * thrown away unread, so nothing is stored and nothing can be there twice. The official client does not repeat a send to a chosen queue, and a
 * machine with two cores keeps a broker waiting that long now and then.
 */
final class Patience {
  private static final int TRIES = 50;

  private Patience() {}

  static <T> T send(Callable<T> sending) throws Exception {
    for (int tries = 1; ; tries++) {
      try {
        return sending.call();
      } catch (MQBrokerException error) {
        if (error.getResponseCode() != RemotingSysResponseCode.SYSTEM_BUSY || tries == TRIES) throw error;
        TimeUnit.MILLISECONDS.sleep(100);
      }
    }
  }
}
