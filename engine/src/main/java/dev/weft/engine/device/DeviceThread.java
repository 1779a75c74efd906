package dev.weft.engine.device;

import dev.weft.engine.library.Torch;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The one thread on which a device computes, from its start to its {@link #close}: libtorch keeps
 * the number of threads of its loops, and whether it records gradients, per thread.
 */
public final class DeviceThread implements AutoCloseable {
  /** What takes the thread out of its loop. */
  private static final Runnable END = () -> {};

  private final LinkedBlockingQueue<Runnable> tasks = new LinkedBlockingQueue<>();
  private final Thread thread;
  private boolean closed;

  private DeviceThread(String name) {
    thread = Thread.ofPlatform().name(name).daemon().unstarted(this::work);
  }

  private void work() {
    while (true) {
      try {
        Runnable task = tasks.take();
        if (task == END) {
          return;
        }
        task.run();
      } catch (InterruptedException _) {
        // Nobody ends this thread but close: an interrupt was meant for a task, which is done.
        continue;
      }
    }
  }

  /**
   * Starts the thread of a device.
   *
   * @param name shown in thread dumps
   * @param threads how many cores a kernel's loops use
   * @throws dev.weft.core.cluster.UserException if libtorch cannot be loaded
   */
  public static DeviceThread start(String name, int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("a device computes on at least 1 thread, not " + threads);
    }
    DeviceThread device = new DeviceThread(name);
    device.thread.start();
    try {
      return device.execute(
          () -> {
            Torch torch = Torch.instance();
            torch.setGradMode(false);
            torch.setThreads(threads);
            return device;
          });
    } catch (Throwable e) {
      device.close();
      throw e;
    }
  }

  /**
   * Has the device do something after all that was submitted before.
   *
   * @throws IllegalStateException if the thread is closed
   */
  public <T> CompletableFuture<T> submit(Callable<T> task) {
    CompletableFuture<T> future = new CompletableFuture<>();
    enqueue(
        () -> {
          try {
            future.complete(task.call());
          } catch (Throwable e) {
            future.completeExceptionally(e);
          }
        });
    return future;
  }

  /**
   * Has the device do something, and waits for it. On the device's own thread it is done at once.
   *
   * @return what the task returns
   * @throws RuntimeException whatever the task throws, with the caller's stack added
   */
  public <T> T execute(Callable<T> task) {
    if (isCurrent()) {
      try {
        return task.call();
      } catch (Exception e) {
        throw carried(e);
      }
    }
    CompletableFuture<T> future = submit(task);
    try {
      return future.get();
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      // Without it a trace shows the device's loop only, never who asked.
      cause.addSuppressed(new IllegalStateException("asked of " + thread.getName() + " here"));
      throw carried(cause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while waiting for " + thread.getName(), e);
    }
  }

  /** Whether the caller runs on this device's thread. */
  public boolean isCurrent() {
    return Thread.currentThread() == thread;
  }

  private synchronized void enqueue(Runnable task) {
    if (closed) {
      throw new IllegalStateException(thread.getName() + " is closed");
    }
    tasks.add(task);
  }

  private static RuntimeException carried(Throwable failure) {
    return switch (failure) {
      case RuntimeException e -> e;
      case Error e -> throw e;
      default -> new IllegalStateException(failure);
    };
  }

  /** Lets all that was submitted finish, then ends the thread and waits for that. */
  @Override
  public void close() {
    synchronized (this) {
      if (!closed) {
        closed = true;
        tasks.add(END);
      }
    }
    if (isCurrent()) {
      return;
    }
    boolean interrupted = false;
    while (true) {
      try {
        thread.join();
        break;
      } catch (InterruptedException _) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
