package dev.weft.runtime.collective;

import dev.weft.core.cluster.Mesh;
import dev.weft.engine.collective.Collectives;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Collectives among the devices of a mesh that all live in this process. Tensors are read and
 * written where they lie: nothing is copied in between.
 *
 * <p>When one device fails, all others stop at their next step or wait; no collective is done any
 * more.
 */
public final class EmbeddedTransport implements AutoCloseable {
  /** What takes a thread out of its loop. */
  private static final Runnable END = () -> {};

  /** Where the members of a group meet: the collective's number and the group's first device. */
  private record Place(int number, int first) {}

  private final Mesh mesh;
  private final Duration patience;
  private final boolean spins;
  private final List<CollectiveCounters.Meter> meters = new ArrayList<>();
  private final List<CollectiveTimes.Clock> clocks = new ArrayList<>();
  private final LinkedBlockingQueue<Runnable> work = new LinkedBlockingQueue<>();
  private final List<Thread> threads = new ArrayList<>();
  private final AtomicReference<@Nullable DeviceFailedException> failure = new AtomicReference<>();

  /** Work given to the threads that they have not finished. */
  private int outstanding;

  /**
   * A transport.
   *
   * @param patience how long a device waits for another in a collective
   */
  public EmbeddedTransport(Mesh mesh, Duration patience) {
    this.mesh = mesh;
    this.patience = patience;
    int cores = Runtime.getRuntime().availableProcessors();
    this.spins = mesh.size() <= cores;
    for (int device = 0; device < mesh.size(); device++) {
      meters.add(new CollectiveCounters.Meter());
      clocks.add(new CollectiveTimes.Clock());
    }
    int helpers = mesh.size() == 1 ? 0 : Math.min(mesh.size(), cores);
    for (int i = 0; i < helpers; i++) {
      threads.add(Thread.ofPlatform().name("weft-collective-" + i).daemon().start(this::serve));
    }
  }

  private void serve() {
    while (true) {
      try {
        Runnable task = work.take();
        if (task == END) {
          return;
        }
        perform(task);
      } catch (InterruptedException _) {
        // Only close ends this thread.
        continue;
      }
    }
  }

  private void perform(Runnable task) {
    try {
      task.run();
    } catch (Throwable e) {
      failed(Thread.currentThread().getName(), e);
    } finally {
      finished();
    }
  }

  /** Has a thread that would only wait do work that the transport's threads have not begun. */
  boolean helpOut() {
    Runnable task = work.poll();
    if (task == null) {
      return false;
    }
    if (task == END) {
      work.add(END);
      return false;
    }
    perform(task);
    return true;
  }

  private synchronized void finished() {
    outstanding--;
    notifyAll();
  }

  /**
   * Waits until the threads have nothing left to do. After a failure they touch no tensor any more
   * from then on.
   */
  public synchronized void quiesce() {
    boolean interrupted = false;
    while (outstanding > 0) {
      try {
        wait();
      } catch (InterruptedException _) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * The ends of one program, one per device. All devices must run the same program: its collectives
   * must have equal numbers, ops and types on all.
   */
  public List<Collectives> program() {
    Map<Place, Meeting> meetings = new ConcurrentHashMap<>();
    return IntStream.range(0, mesh.size())
        .<Collectives>mapToObj(device -> new Membership(device, meetings))
        .toList();
  }

  /** One device's part in one program. */
  private final class Membership implements Collectives {
    private final int device;
    private final Map<Place, Meeting> meetings;

    Membership(int device, Map<Place, Meeting> meetings) {
      this.device = device;
      this.meetings = meetings;
    }

    @Override
    public Exchange prepare(Call call, List<MemorySegment> inputs, List<MemorySegment> outputs) {
      int[] group = mesh.group(device, call.op().axes());
      Meeting meeting =
          meetings.computeIfAbsent(
              new Place(call.number(), group[0]),
              _ -> new Meeting(EmbeddedTransport.this, call, group));
      meeting.require(call, device);
      return meeting.join(device, inputs, outputs);
    }

    @Override
    public void check() {
      EmbeddedTransport.this.check();
    }

    @Override
    public void failed(Throwable cause) {
      EmbeddedTransport.this.failed(device, cause);
    }
  }

  /** Tells all devices that one has failed; the first failure counts. */
  public void failed(int device, Throwable cause) {
    failed(name(device), cause);
  }

  /** Tells all devices that something has failed, a device or what they depend on. */
  public void failed(String name, Throwable cause) {
    if (!(cause instanceof DeviceFailedException)) {
      failure.compareAndSet(null, new DeviceFailedException(name, cause));
    }
  }

  /**
   * Looks whether all is well.
   *
   * @throws DeviceFailedException if a device has failed
   */
  public void check() {
    DeviceFailedException first = failure.get();
    if (first != null) {
      throw new DeviceFailedException(first.device(), cause(first));
    }
  }

  private static Throwable cause(DeviceFailedException failure) {
    Throwable cause = failure.getCause();
    return cause == null ? failure : cause;
  }

  /** Whether a device has failed. */
  public boolean hasFailed() {
    return failure.get() != null;
  }

  /** What a device is called: its number and its coordinates. */
  public String name(int device) {
    return device + " (" + mesh.describe(device) + ")";
  }

  /** What collectives cost a device so far. */
  public CollectiveCounters counters(int device) {
    return meters.get(device).read();
  }

  CollectiveCounters.Meter meter(int device) {
    return meters.get(device);
  }

  /** From now on writes down when collectives are done. */
  public void startClocks() {
    clocks.forEach(CollectiveTimes.Clock::start);
  }

  /** When the collectives of each device were done since {@link #startClocks}; no more of them. */
  public List<CollectiveTimes> stopClocks() {
    return clocks.stream().map(CollectiveTimes.Clock::stop).toList();
  }

  CollectiveTimes.Clock clock(int device) {
    return clocks.get(device);
  }

  Duration patience() {
    return patience;
  }

  /** Whether there are cores enough for members to look again and again while they wait. */
  boolean spins() {
    return spins;
  }

  /** Has the threads take part in some work. */
  void help(Runnable round, int tasks) {
    int count = Math.min(tasks, threads.size());
    synchronized (this) {
      outstanding += count;
    }
    for (int i = 0; i < count; i++) {
      work.add(round);
    }
  }

  /**
   * Ends the threads, after what they do now. Afterwards no device's memory is touched by them:
   * close the transport before the devices.
   */
  @Override
  public void close() {
    threads.forEach(_ -> work.add(END));
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException _) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
