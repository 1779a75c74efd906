package dev.weft.engine.collective;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.List;

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
        public Exchange prepare(
            Call call, List<MemorySegment> inputs, List<MemorySegment> outputs) {
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
   * @param inputs the types of the inputs, dense, the same on all devices
   * @param kind whose memory it is
   */
  record Call(int number, String name, Collective op, List<TensorType> inputs, DeviceKind kind) {
    public Call {
      inputs = List.copyOf(inputs);
    }
  }

  /**
   * Gets ready for a collective, to be done as often as the program runs.
   *
   * @param inputs dense, row-major; other devices read them from {@code begin} to {@code await}
   * @param outputs dense, row-major; other devices write them meanwhile. The same memory as the
   *     input of the same number, or of none; the same only for an all-reduce.
   */
  Exchange prepare(Call call, List<MemorySegment> inputs, List<MemorySegment> outputs);

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
     * Says that the inputs are there and the outputs may be written. Returns at once: what follows
     * runs beside the exchange.
     *
     * @throws RuntimeException if another device has failed
     */
    void begin();

    /**
     * Waits until the outputs are there and nobody reads the inputs any more.
     *
     * @throws RuntimeException if another device has failed, or does not come, naming it
     */
    void await();
  }
}
