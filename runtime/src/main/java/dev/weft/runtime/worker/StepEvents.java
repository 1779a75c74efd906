package dev.weft.runtime.worker;

import dev.weft.core.program.Transfers;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What has happened in one run of a program: which steps are posted and which have ended, on all
 * stages. Whoever waits is woken by a failure too.
 */
final class StepEvents {
  /** A step ends when as many have ended it as there are devices in its stage, or one thread. */
  private final int[][] parts;

  private final boolean[][] posted;
  private @Nullable Throwable failure;

  /**
   * Nothing has happened yet.
   *
   * @param parts for each stage and step how many times it is ended
   */
  StepEvents(int[][] parts) {
    this.parts = parts;
    posted = new boolean[parts.length][];
    for (int stage = 0; stage < parts.length; stage++) {
      posted[stage] = new boolean[parts[stage].length];
    }
  }

  /**
   * Waits until steps of a stage have ended.
   *
   * @throws RunStoppedException if something has failed
   */
  synchronized void await(int stage, List<Integer> steps) {
    for (int step : steps) {
      while (failure == null && parts[stage][step] > 0) {
        sleep();
      }
    }
    check();
  }

  /** Waits until a step has been posted: all that it awaits has ended. */
  synchronized void awaitPosted(Transfers.At at) {
    while (failure == null && !posted[at.stage()][at.step()]) {
      sleep();
    }
    check();
  }

  synchronized void post(Transfers.At at) {
    posted[at.stage()][at.step()] = true;
    notifyAll();
  }

  synchronized void end(Transfers.At at) {
    if (--parts[at.stage()][at.step()] == 0) {
      notifyAll();
    }
  }

  /** Stops all that waits; the first failure counts. */
  synchronized void fail(Throwable cause) {
    if (failure == null) {
      failure = cause;
    }
    notifyAll();
  }

  /**
   * Looks whether all is well.
   *
   * @throws RunStoppedException if something has failed
   */
  synchronized void check() {
    if (failure != null) {
      throw new RunStoppedException(failure);
    }
  }

  /** What failed first. */
  synchronized @Nullable Throwable failure() {
    return failure;
  }

  private void sleep() {
    try {
      wait();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a program runs", e);
    }
  }

  /** Something else has failed: this one only stops. */
  static final class RunStoppedException extends RuntimeException {
    RunStoppedException(Throwable cause) {
      super("stopped: " + cause.getMessage(), cause, false, false);
    }
  }
}
