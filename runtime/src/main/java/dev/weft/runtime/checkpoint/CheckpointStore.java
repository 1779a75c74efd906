package dev.weft.runtime.checkpoint;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.UserException;
import dev.weft.runtime.checkpoint.Manifest.FileEntry;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A folder of checkpoints, one folder a step. A checkpoint is written under another name, synced,
 * and then renamed: whatever happens meanwhile, a folder with the name of a step is a whole
 * checkpoint. Older ones are deleted only after that.
 *
 * <p>Names that start with a dot are work in progress: {@code .saving-} is being written, {@code
 * .deleting-} is on its way out, {@code .replaced-} stood where a newer one of the same step is
 * being put. What a killed process left of these is cleared when the next one opens the store for
 * training.
 */
public final class CheckpointStore {
  private static final Logger LOG = LoggerFactory.getLogger(CheckpointStore.class);
  private static final Pattern STEP = Pattern.compile("step-(\\d{8,18})");
  private static final String SAVING = ".saving-";
  private static final String DELETING = ".deleting-";
  private static final String REPLACED = ".replaced-";

  private final Path directory;
  private final int keep;
  private final Disk disk;

  private CheckpointStore(Path directory, int keep, Disk disk) {
    this.directory = directory;
    this.keep = keep;
    this.disk = disk;
  }

  /** A store to load from; its folder need not exist, and nothing in it is touched. */
  public static CheckpointStore forReading(Path directory) {
    return new CheckpointStore(directory, 0, Disk.local());
  }

  /**
   * A store to save to. The folder is made where it is missing, and what a killed process left is
   * cleared; so only one process may have it open for training.
   *
   * @param keep how many of the newest checkpoints stay, at least 1
   * @throws UserException if the folder cannot be written
   */
  public static CheckpointStore forTraining(Path directory, int keep) {
    return forTraining(directory, keep, Disk.local());
  }

  static CheckpointStore forTraining(Path directory, int keep, Disk disk) {
    if (keep < 1) {
      throw new UserException(
          "expected at least 1 checkpoint to keep, found %d: set --keep".formatted(keep));
    }
    CheckpointStore store = new CheckpointStore(directory, keep, disk);
    try {
      Files.createDirectories(directory);
      Path parent = directory.toAbsolutePath().getParent();
      if (parent != null) {
        disk.syncDirectory(parent);
      }
      store.recover();
    } catch (IOException failure) {
      throw new UserException(
          "cannot write checkpoints to '%s': %s: %s"
              .formatted(directory, failure.getClass().getSimpleName(), failure.getMessage()),
          failure);
    }
    return store;
  }

  public Path directory() {
    return directory;
  }

  /** The folder of a step's checkpoint: {@code step-00000100}. */
  public Path path(long step) {
    return directory.resolve("step-%08d".formatted(step));
  }

  /** Steps of all checkpoints, oldest first. */
  public List<Long> steps() {
    List<Long> steps = new ArrayList<>();
    for (String name : names()) {
      Matcher matcher = STEP.matcher(name);
      if (matcher.matches()) {
        steps.add(Long.parseLong(matcher.group(1)));
      }
    }
    steps.sort(null);
    return steps;
  }

  /**
   * Opens the checkpoint of the latest step; empty where there is none.
   *
   * @throws UserException if it is damaged
   */
  public Optional<Checkpoint> latest() {
    List<Long> steps = steps();
    return steps.isEmpty() ? Optional.empty() : Optional.of(load(steps.getLast()));
  }

  /**
   * Opens the checkpoint of a step.
   *
   * @throws UserException if there is none or it is damaged
   */
  public Checkpoint load(long step) {
    List<Long> steps = steps();
    if (!steps.contains(step)) {
      throw new UserException(
          "'%s' has no checkpoint of step %d: there are %s".formatted(directory, step, steps));
    }
    Checkpoint checkpoint = Checkpoint.open(path(step));
    if (checkpoint.step() != step) {
      throw new UserException(
          "'%s' holds the checkpoint of step %d: its folder was renamed"
              .formatted(path(step), checkpoint.step()));
    }
    return checkpoint;
  }

  /**
   * Saves a checkpoint and deletes those that are too old. Returns when all of it would survive a
   * loss of power.
   *
   * @throws UserException if it could not be written, say for want of space: those that were there
   *     before are unharmed
   */
  public void save(Checkpoint.Content content) {
    Path target = path(content.step());
    try {
      Path saving = sibling(SAVING, target);
      disk.createDirectory(saving);
      try {
        write(saving, content);
        publish(saving, target);
      } catch (IOException | RuntimeException failure) {
        try {
          disk.deleteTree(saving);
        } catch (IOException left) {
          failure.addSuppressed(left);
        }
        throw failure;
      }
    } catch (IOException failure) {
      throw new UserException(failureMessage(content, failure), failure);
    }
    try {
      List<Long> steps = steps();
      for (long step : steps.subList(0, Math.max(0, steps.size() - keep))) {
        discard(path(step));
      }
    } catch (IOException failure) {
      // The new checkpoint stands; one too many is no reason to stop training.
      LOG.warn("cannot delete an old checkpoint in {}: {}", directory, failure.toString());
    }
  }

  private void write(Path saving, Checkpoint.Content content) throws IOException {
    SequencedMap<String, FileEntry> files = new LinkedHashMap<>();
    files.put(
        Checkpoint.MODEL, write(saving.resolve(Checkpoint.MODEL), content.model(), content.step()));
    files.put(
        Checkpoint.OPTIMIZER,
        write(saving.resolve(Checkpoint.OPTIMIZER), content.optimizer(), content.step()));
    byte[] manifest = new Manifest(content.step(), content.state(), files).toJson();
    try (Disk.Output output = disk.create(saving.resolve(Manifest.FILE_NAME))) {
      output.write(ByteBuffer.wrap(manifest));
      output.sync();
    }
    disk.syncDirectory(saving);
  }

  private FileEntry write(Path file, SequencedMap<String, TensorData> tensors, long step)
      throws IOException {
    try (Disk.Output output = disk.create(file)) {
      FileEntry written =
          Safetensors.write(output, tensors, Map.of("format", "weft", "step", Long.toString(step)));
      output.sync();
      return written;
    }
  }

  /** Gives a finished checkpoint its name; one of the same step steps aside first. */
  private void publish(Path saving, Path target) throws IOException {
    if (!Files.exists(target)) {
      disk.move(saving, target);
      disk.syncDirectory(directory);
      return;
    }
    Path replaced = directory.resolve(REPLACED + target.getFileName());
    disk.move(target, replaced);
    try {
      disk.move(saving, target);
    } catch (IOException failure) {
      disk.move(replaced, target);
      throw failure;
    }
    disk.syncDirectory(directory);
    disk.deleteTree(replaced);
  }

  /** Deletes a checkpoint: out of sight first, so that half of one is never taken for a whole. */
  private void discard(Path checkpoint) throws IOException {
    Path deleting = sibling(DELETING, checkpoint);
    disk.move(checkpoint, deleting);
    disk.deleteTree(deleting);
  }

  private void recover() throws IOException {
    for (String name : names()) {
      Path path = directory.resolve(name);
      if (name.startsWith(REPLACED)) {
        Path target = directory.resolve(name.substring(REPLACED.length()));
        if (Files.exists(target)) {
          disk.deleteTree(path);
        } else {
          disk.move(path, target);
        }
      } else if (name.startsWith(SAVING) || name.startsWith(DELETING)) {
        disk.deleteTree(path);
      }
    }
  }

  private Path sibling(String prefix, Path checkpoint) {
    return directory.resolve(
        prefix + checkpoint.getFileName() + "-" + Long.toHexString(System.nanoTime()));
  }

  private List<String> names() {
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    } catch (IOException failure) {
      throw new UserException(
          "cannot list the checkpoints in '%s': %s".formatted(directory, failure.getMessage()),
          failure);
    }
  }

  private String failureMessage(Checkpoint.Content content, IOException failure) {
    long needed =
        Stream.of(content.model(), content.optimizer())
            .flatMap(tensors -> tensors.values().stream())
            .mapToLong(tensor -> tensor.type().bytes())
            .sum();
    String free = "";
    try {
      free = ", " + Bytes.of(Files.getFileStore(directory).getUsableSpace()) + " are free";
    } catch (IOException unknown) {
      failure.addSuppressed(unknown);
    }
    List<Long> steps = steps();
    String left =
        steps.isEmpty()
            ? "there is no earlier checkpoint"
            : "the checkpoint of step %d is unharmed".formatted(steps.getLast());
    return "cannot save the checkpoint of step %d in '%s': %s (it takes %s%s); %s; free some space or choose fewer with --keep"
        .formatted(content.step(), directory, failure.getMessage(), Bytes.of(needed), free, left);
  }
}
