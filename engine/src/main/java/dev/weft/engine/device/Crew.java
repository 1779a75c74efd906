package dev.weft.engine.device;

import dev.weft.engine.library.Torch;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Threads that take parts of a device's work: for work of some microseconds, which is over before
 * the threads of the library's loops wake. A helper looks for more for a while after each part; one
 * that comes too late finds its part done by the device's own thread, which waits only for parts
 * that a helper has begun.
 */
public final class Crew implements AutoCloseable {
  /** How long a helper looks for more: longer than what lies between two products of a token. */
  private static final long PATIENCE_NANOS = 200_000;

  private static final int SPINS = 1 << 14;

  private final List<Helper> helpers = new ArrayList<>();
  private volatile @Nullable Job job;
  private volatile boolean closed;

  /**
   * Starts a device's helpers.
   *
   * @param name of the device
   * @param count helpers beside the device's own thread
   */
  Crew(String name, int count) {
    for (int i = 1; i <= count; i++) {
      helpers.add(new Helper(name + "-helper-" + i));
    }
    helpers.forEach(helper -> helper.thread.start());
  }

  /** Work in parts that may be done at the same time, over and over. */
  public static final class Job {
    private final List<Runnable> parts;
    private final AtomicInteger next;
    private final AtomicInteger done = new AtomicInteger();
    private volatile @Nullable Throwable failure;

    /** Work that {@link #run} does. */
    public Job(List<Runnable> parts) {
      this.parts = List.copyOf(parts);
      this.next = new AtomicInteger(parts.size());
    }

    /** Does a part that nobody has taken. */
    private boolean takePart() {
      if (next.get() >= parts.size()) {
        return false;
      }
      int part = next.getAndIncrement();
      if (part >= parts.size()) {
        return false;
      }
      try {
        parts.get(part).run();
      } catch (Throwable e) {
        failure = e;
      }
      done.incrementAndGet();
      return true;
    }
  }

  /**
   * Does all parts of a job, some of them on helpers, and returns when all are done.
   *
   * @throws RuntimeException what a part threw
   */
  public void run(Job work) {
    work.failure = null;
    work.done.set(0);
    // From here on a helper that still looks at this job may take parts.
    work.next.set(0);
    job = work;
    for (Helper helper : helpers) {
      if (helper.sleeps) {
        LockSupport.unpark(helper.thread);
      }
    }
    while (work.takePart()) {
      // Takes what is there.
    }
    for (int round = 0; work.done.get() < work.parts.size(); round++) {
      // A helper that lost its core in the middle of a part needs one.
      if (round < SPINS) {
        Thread.onSpinWait();
      } else {
        Thread.yield();
      }
    }
    switch (work.failure) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IllegalStateException(e);
    }
  }

  private final class Helper {
    private final Thread thread;
    private volatile boolean sleeps;

    Helper(String name) {
      thread = Thread.ofPlatform().name(name).daemon().unstarted(this::work);
    }

    private void work() {
      Torch torch = Torch.instance();
      torch.setGradMode(false);
      torch.setThreads(1);
      long until = System.nanoTime() + PATIENCE_NANOS;
      while (!closed) {
        Job work = job;
        if (work != null && work.takePart()) {
          until = System.nanoTime() + PATIENCE_NANOS;
        } else if (System.nanoTime() - until < 0) {
          Thread.onSpinWait();
        } else {
          sleeps = true;
          Job last = job;
          if (!closed && (last == null || last.next.get() >= last.parts.size())) {
            LockSupport.park(Crew.this);
          }
          sleeps = false;
          until = System.nanoTime() + PATIENCE_NANOS;
        }
      }
    }
  }

  /** Ends the helpers. */
  @Override
  public void close() {
    closed = true;
    helpers.forEach(helper -> LockSupport.unpark(helper.thread));
  }
}
