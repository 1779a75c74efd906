package dev.weft.runtime.data;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Prepares the next micro-batches in the background while the present one is trained on. At most
 * {@code depth} wait at a time, in memory that is used again and again. One thread may consume.
 */
public final class Prefetcher implements AutoCloseable {
  private static final long ALIGNMENT = 64;

  /**
   * One micro-batch, to be read until the next one is asked for.
   *
   * @param step counted from 0
   * @param microBatch counted from 0
   */
  public record Batch(long step, int microBatch, MemorySegment inputs, MemorySegment targets) {}

  private sealed interface Item {}

  private record Ready(Batch batch, Buffers buffers) implements Item {}

  private record Failed(Throwable failure) implements Item {}

  private record Closed() implements Item {}

  private record Buffers(MemorySegment inputs, MemorySegment targets) {}

  private final Batches batches;
  private final Arena arena = Arena.ofShared();
  private final BlockingQueue<Buffers> free;
  private final BlockingQueue<Item> ready;
  private final Thread producer;
  private Item last = new Closed();
  private volatile boolean closed;

  /**
   * Starts to prepare micro-batches.
   *
   * @param firstStep the step whose first micro-batch comes first
   * @param depth how many may wait, at least 1
   */
  public Prefetcher(Batches batches, long firstStep, int depth) {
    if (depth < 1) {
      throw new IllegalArgumentException("expected a depth of at least 1, found " + depth);
    }
    this.batches = batches;
    // One more than may wait: the consumer holds one.
    this.free = new ArrayBlockingQueue<>(depth + 1);
    // Room for all of these and for the word that there are no more: putting never waits.
    this.ready = new ArrayBlockingQueue<>(depth + 3);
    for (int index = 0; index <= depth; index++) {
      free.add(
          new Buffers(
              arena.allocate(batches.inputBytes(), ALIGNMENT),
              arena.allocate(batches.targetBytes(), ALIGNMENT)));
    }
    this.producer = Thread.ofVirtual().name("weft-prefetch").start(() -> produce(firstStep));
  }

  /**
   * Waits for the next micro-batch; the one before is overwritten.
   *
   * @throws RuntimeException what went wrong while it was prepared
   * @throws IllegalStateException if this was closed, or the waiting thread was interrupted
   */
  public Batch next() {
    if (closed) {
      throw new IllegalStateException("the prefetcher is closed");
    }
    if (last instanceof Ready(Batch ignored, Buffers buffers)) {
      free.add(buffers);
    }
    if (!(last instanceof Failed)) {
      try {
        last = ready.take();
      } catch (InterruptedException interruption) {
        last = new Closed();
        Thread.currentThread().interrupt();
        throw new IllegalStateException("interrupted while waiting for data", interruption);
      }
    }
    return switch (last) {
      case Ready(Batch batch, Buffers ignored) -> batch;
      case Failed(RuntimeException failure) -> throw failure;
      case Failed(Error failure) -> throw failure;
      case Failed(Throwable failure) -> throw new IllegalStateException(failure);
      case Closed() -> throw new IllegalStateException("the prefetcher is closed");
    };
  }

  /** Stops the background work and frees the memory of all micro-batches. Repeatable. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    producer.interrupt();
    boolean interrupted = false;
    while (producer.isAlive()) {
      try {
        producer.join();
      } catch (InterruptedException interruption) {
        interrupted = true;
      }
    }
    ready.add(new Closed());
    arena.close();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void produce(long firstStep) {
    try {
      for (long step = firstStep; ; step++) {
        for (int microBatch = 0; microBatch < batches.microBatches(); microBatch++) {
          Buffers buffers = free.take();
          batches.fill(step, microBatch, buffers.inputs(), buffers.targets());
          Batch batch = new Batch(step, microBatch, buffers.inputs(), buffers.targets());
          ready.add(new Ready(batch, buffers));
        }
      }
    } catch (InterruptedException closing) {
      // Only close() interrupts this thread, and waits for its end.
    } catch (Throwable failure) {
      ready.add(new Failed(failure));
    }
  }
}
