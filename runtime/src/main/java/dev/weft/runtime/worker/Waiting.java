package dev.weft.runtime.worker;

import dev.weft.runtime.collective.EmbeddedTransport;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Waits for devices that work together. */
final class Waiting {
  /** How long the others may go on after one has failed, in a kernel that cannot be stopped. */
  private static final long GRACE_NANOS = 4_000_000_000L;

  private static final long LOOK_MILLIS = 50;

  private Waiting() {}

  /**
   * What all did.
   *
   * @throws dev.weft.runtime.collective.DeviceFailedException if one failed, soon after it did
   */
  static <T> List<T> forAll(List<Future<T>> devices, EmbeddedTransport transport) {
    var results = new ArrayList<T>();
    long deadline = 0;
    for (Future<T> device : devices) {
      while (true) {
        try {
          results.add(device.get(LOOK_MILLIS, TimeUnit.MILLISECONDS));
          break;
        } catch (TimeoutException _) {
          if (deadline == 0 && transport.hasFailed()) {
            deadline = System.nanoTime() + GRACE_NANOS;
          }
          if (deadline != 0 && System.nanoTime() > deadline) {
            break;
          }
        } catch (ExecutionException _) {
          // The transport knows who failed first.
          break;
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          throw new IllegalStateException("interrupted while devices compute", e);
        }
      }
    }
    transport.check();
    return results;
  }
}
