package dev.weft.engine.collective;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.TensorType;
import java.lang.foreign.MemorySegment;

/**
 * How one program of one device computes together with the same program of others. Who the others
 * are, and how bytes get to them, is the implementation's business.
 *
 * <p>Used by one thread, the device's.
 */
public interface Collectives {
  /** A device without others. */
  Collectives NONE =
      new Collectives() {
        @Override
        public Exchange prepare(Call call, MemorySegment input, MemorySegment output) {
          throw new IllegalStateException(
              call.name() + " needs other devices, and the program was loaded for one");
        }

        @Override
        public void check() {}

        @Override
        public void failed(Throwable cause) {}
      };

  /**
   * One place in a program where devices meet.
   *
   * @param number counts the collectives of a program from 0; the same on all devices
   * @param name what to call it in messages
   * @param op what is done; its axes say with whom
   * @param input the type of the input, dense, the same on all devices
   * @param kind whose memory it is
   */
  record Call(int number, String name, Collective op, TensorType input, DeviceKind kind) {}

  /**
   * Gets ready for a collective, to be done as often as the program runs.
   *
   * @param input dense, row-major; other devices read it from {@code begin} to {@code await}
   * @param output dense, row-major; other devices write it meanwhile. The same memory as the input,
   *     or none of it; the same only for an all-reduce.
   */
  Exchange prepare(Call call, MemorySegment input, MemorySegment output);

  /**
   * Looks whether the program shall go on; asked between steps.
   *
   * @throws RuntimeException if another device has failed, naming it and the cause
   */
  void check();

  /** Tells the others that this device's run has failed. */
  void failed(Throwable cause);

  /** A prepared collective. */
  interface Exchange {
    /**
     * Says that the input is there and the output may be written. Returns at once: what follows
     * runs beside the exchange.
     *
     * @throws RuntimeException if another device has failed
     */
    void begin();

    /**
     * Waits until the output is there and nobody reads the input any more.
     *
     * @throws RuntimeException if another device has failed, or does not come, naming it
     */
    void await();
  }
}
