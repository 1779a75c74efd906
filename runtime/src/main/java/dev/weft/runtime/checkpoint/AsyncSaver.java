package dev.weft.runtime.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * Saves checkpoints while training goes on: the tensors are copied when a save is asked for, and
 * written from the copy by a thread of its own. One save is under way at a time; the next one waits
 * for it. What goes wrong in the background is thrown by the next call. For one thread.
 */
public final class AsyncSaver implements AutoCloseable {
  private final CheckpointStore store;
  private @Nullable Save running;

  /** A save under way; reading the failure is safe once the thread has ended. */
  private static final class Save {
    private final Thread thread;
    private @Nullable Throwable failure;

    Save(CheckpointStore store, Arena snapshot, Checkpoint.Content content) {
      thread =
          Thread.ofPlatform()
              .name("weft-checkpoint")
              .start(
                  () -> {
                    try (snapshot) {
                      store.save(content);
                    } catch (Throwable thrown) {
                      failure = thrown;
                    }
                  });
    }
  }

  public AsyncSaver(CheckpointStore store) {
    this.store = store;
  }

  /**
   * Copies the tensors and returns; the caller may change them at once. Waits first if the save
   * before is still under way.
   *
   * @throws dev.weft.core.cluster.UserException if the save before failed; this one is then not
   *     begun
   * @throws OutOfMemoryError if there is no memory for the copy
   */
  public void save(Checkpoint.Content content) {
    await();
    Arena snapshot = Arena.ofShared();
    try {
      Checkpoint.Content copy =
          new Checkpoint.Content(
              content.step(),
              copy(snapshot, content.model()),
              copy(snapshot, content.optimizer()),
              content.state().deepCopy());
      running = new Save(store, snapshot, copy);
    } catch (RuntimeException | Error failure) {
      snapshot.close();
      throw failure;
    }
  }

  /**
   * Waits for the save under way, if any.
   *
   * @throws dev.weft.core.cluster.UserException if it failed
   */
  public void await() {
    Save save = running;
    if (save == null) {
      return;
    }
    boolean interrupted = false;
    while (save.thread.isAlive()) {
      try {
        save.thread.join();
      } catch (InterruptedException interruption) {
        // Half a save is worth nothing: wait all the same, and pass the interruption on.
        interrupted = true;
      }
    }
    running = null;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    switch (save.failure) {
      case null -> {}
      case RuntimeException failure -> throw failure;
      case Error failure -> throw failure;
      case Throwable failure -> throw new IllegalStateException(failure);
    }
  }

  /** {@link #await}. */
  @Override
  public void close() {
    await();
  }

  private static SequencedMap<String, TensorData> copy(
      Arena arena, SequencedMap<String, TensorData> tensors) {
    SequencedMap<String, TensorData> copies = new LinkedHashMap<>();
    tensors.forEach(
        (name, tensor) ->
            copies.put(
                name,
                new TensorData(
                    tensor.type(),
                    // Unlike allocate and copy, this does not clear the memory first.
                    arena.allocateFrom(
                        ValueLayout.JAVA_BYTE,
                        tensor.data(),
                        ValueLayout.JAVA_BYTE,
                        0,
                        tensor.data().byteSize()))));
    return copies;
  }
}
