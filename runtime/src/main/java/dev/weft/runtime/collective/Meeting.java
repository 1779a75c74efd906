package dev.weft.runtime.collective;

import dev.weft.engine.collective.Collectives;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Where the members of a group meet for one collective of a program, round after round. The last to
 * come starts the work; whoever has nothing else to do takes tasks of it: the transport's threads,
 * and members that wait.
 */
final class Meeting {
  /** Work so small that handing it to another thread costs more, in bytes of all tensors. */
  private static final long SMALL = 64 << 10;

  /**
   * How long a member looks again and again, and does what work there is, before it sleeps: waking
   * it would take as long as many a collective.
   */
  private static final long SPIN_NANOS = 200_000;

  /** How often a sleeping member looks whether another has failed. */
  private static final long NAP_MILLIS = 20;

  private final EmbeddedTransport transport;
  private final Collectives.Call call;
  private final int[] group;
  private final Transfer transfer;
  private final long sent;
  private Round current;

  /**
   * A meeting.
   *
   * @param group the devices that take part, in their order
   */
  Meeting(EmbeddedTransport transport, Collectives.Call call, int[] group) {
    this.transport = transport;
    this.call = call;
    this.group = group;
    this.transfer = Transfer.of(call.op(), call.inputs());
    this.sent = call.op().bytesSent(call.inputs());
    this.current = new Round();
  }

  /** Refuses a member that comes for something else. */
  void require(Collectives.Call other, int device) {
    if (!call.op().equals(other.op()) || !call.inputs().equals(other.inputs())) {
      throw new IllegalStateException(
          "devices run different programs: %s comes to %s of %s, others of its group to %s of %s"
              .formatted(
                  transport.name(device),
                  other.name(),
                  other.inputs(),
                  call.name(),
                  call.inputs()));
    }
  }

  /** One member's part. */
  Collectives.Exchange join(int device, List<MemorySegment> inputs, List<MemorySegment> outputs) {
    int place = 0;
    while (group[place] != device) {
      place++;
    }
    return new Member(place, inputs, outputs);
  }

  /** A member's end of the meeting. */
  private final class Member implements Collectives.Exchange {
    private final int place;
    private final List<MemorySegment> inputs;
    private final List<MemorySegment> outputs;
    private Round round = current;

    Member(int place, List<MemorySegment> inputs, List<MemorySegment> outputs) {
      this.place = place;
      this.inputs = inputs;
      this.outputs = outputs;
    }

    @Override
    public void begin() {
      transport.check();
      round = arrive(place, inputs, outputs);
    }

    @Override
    public void await() {
      round.await(place);
    }
  }

  private Round arrive(int place, List<MemorySegment> inputs, List<MemorySegment> outputs) {
    Round round;
    boolean last;
    synchronized (this) {
      round = current;
      for (int tensor = 0; tensor < inputs.size(); tensor++) {
        round.inputs[tensor][place] = inputs.get(tensor);
        round.outputs[tensor][place] = outputs.get(tensor);
      }
      round.began[place] = System.nanoTime();
      last = ++round.arrived == group.length;
      if (last) {
        current = new Round();
      }
    }
    if (last) {
      round.start();
    }
    return round;
  }

  /** One time that the collective is done. */
  private final class Round implements Runnable {
    private final MemorySegment[][] inputs = new MemorySegment[call.inputs().size()][group.length];
    private final MemorySegment[][] outputs = new MemorySegment[call.inputs().size()][group.length];
    private final long[] began = new long[group.length];
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger left = new AtomicInteger(transfer.tasks());
    private final AtomicInteger waiting = new AtomicInteger();
    private int arrived;
    private long started;
    private volatile boolean running;
    private volatile boolean done;

    private void start() {
      started = System.nanoTime();
      if (transfer.tasks() == 0) {
        finish();
      } else if (transfer.bytes() * group.length <= SMALL) {
        running = true;
        run();
      } else {
        synchronized (this) {
          running = true;
          notifyAll();
        }
        // Members that wait do the work themselves.
        if (waiting.get() == 0) {
          transport.help(this, transfer.tasks());
        }
      }
    }

    /** Does tasks until none is left to take, or a device has failed. */
    @Override
    public void run() {
      while (!transport.hasFailed()) {
        int task = next.getAndIncrement();
        if (task >= transfer.tasks()) {
          return;
        }
        transfer.run(task, inputs, outputs);
        if (left.decrementAndGet() == 0) {
          finish();
        }
      }
    }

    private void finish() {
      long now = System.nanoTime();
      for (int place = 0; place < group.length; place++) {
        transport.meter(group[place]).done(sent, now - began[place], now - started);
        transport.clock(group[place]).done(call.name(), began[place], now);
      }
      synchronized (this) {
        done = true;
        notifyAll();
      }
    }

    private void await(int place) {
      if (done) {
        return;
      }
      long start = System.nanoTime();
      waiting.incrementAndGet();
      try {
        while (!done) {
          if (running) {
            run();
          }
          boolean spins = transport.spins() && System.nanoTime() - start < SPIN_NANOS;
          if (!spins) {
            nap();
          } else if (!transport.helpOut()) {
            Thread.onSpinWait();
          }
          transport.check();
          if (!running && System.nanoTime() - start > transport.patience().toNanos()) {
            throw timeout(place);
          }
        }
      } finally {
        long now = System.nanoTime();
        transport.meter(group[place]).waited(now - start);
        transport.clock(group[place]).waited(call.name(), start, now);
      }
    }

    private synchronized void nap() {
      if (done || (running && next.get() < transfer.tasks())) {
        return;
      }
      try {
        wait(NAP_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException("interrupted in " + call.name(), e);
      }
    }

    private CollectiveTimeoutException timeout(int waiting) {
      var missing = new ArrayList<String>();
      synchronized (Meeting.this) {
        for (int place = 0; place < group.length; place++) {
          if (inputs[0][place] == null) {
            missing.add(transport.name(group[place]));
          }
        }
      }
      return new CollectiveTimeoutException(
          "%s waited %.1f s in %s for device %s, which did not come"
              .formatted(
                  transport.name(group[waiting]),
                  transport.patience().toNanos() * 1e-9,
                  call.name(),
                  String.join(", ", missing)));
    }
  }
}
