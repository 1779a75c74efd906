package dev.weft.runtime.checkpoint;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.checkpoint.Manifest.FileEntry;
import dev.weft.runtime.storage.Checksum;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/**
 * An open checkpoint. Its files are opened, and checked from the first byte to the last, when they
 * are first asked for; so who only wants the weights does not read the optimizer. Not for several
 * threads at once.
 */
public final class Checkpoint implements AutoCloseable {
  static final String MODEL = "model.safetensors";
  static final String OPTIMIZER = "optimizer.safetensors";

  private final Path directory;
  private final Manifest manifest;
  private final Map<String, Safetensors> opened = new LinkedHashMap<>();

  private Checkpoint(Path directory, Manifest manifest) {
    this.directory = directory;
    this.manifest = manifest;
  }

  /**
   * What a checkpoint holds.
   *
   * @param step training steps that were done
   * @param model parameters by name
   * @param optimizer the optimizer's tensors by name
   * @param state whatever else the run needs to go on as if it had never stopped: seed, kernel
   *     routes, threads, versions, identity of model and data. Numbers that JSON does not know
   *     (NaN, infinities) come back as text.
   */
  public record Content(
      long step,
      SequencedMap<String, TensorData> model,
      SequencedMap<String, TensorData> optimizer,
      ObjectNode state) {}

  /**
   * Opens a checkpoint's folder.
   *
   * @throws UserException if its manifest is missing or damaged
   */
  public static Checkpoint open(Path directory) {
    return new Checkpoint(directory, Manifest.read(directory));
  }

  public Path directory() {
    return directory;
  }

  /** Training steps that were done. */
  public long step() {
    return manifest.step();
  }

  /** What was given as state when this was saved. */
  public ObjectNode state() {
    return manifest.state();
  }

  /**
   * The parameters; valid until this checkpoint is closed.
   *
   * @throws UserException if the file is missing, cut short or damaged: names the file and the
   *     tensor, with what was expected and found
   */
  public Safetensors model() {
    return file(MODEL);
  }

  /**
   * The optimizer's tensors; valid until this checkpoint is closed.
   *
   * @throws UserException as {@link #model}
   */
  public Safetensors optimizer() {
    return file(OPTIMIZER);
  }

  /** Unmaps all files; tensors may no longer be touched. */
  @Override
  public void close() {
    opened.values().forEach(Safetensors::close);
    opened.clear();
  }

  private Safetensors file(String name) {
    return opened.computeIfAbsent(name, this::openChecked);
  }

  private Safetensors openChecked(String name) {
    Path path = directory.resolve(name);
    FileEntry expected = manifest.files().get(name);
    if (expected == null) {
      throw new UserException(
          "'%s' does not mention '%s': the checkpoint is not whole"
              .formatted(directory.resolve(Manifest.FILE_NAME), name));
    }
    try {
      long size = Files.size(path);
      if (size != expected.bytes()) {
        throw new UserException(
            "'%s' is %s: expected %d bytes, found %d%s"
                .formatted(
                    path,
                    size < expected.bytes() ? "cut short" : "longer than what was saved",
                    expected.bytes(),
                    size,
                    mend()));
      }
    } catch (IOException failure) {
      throw new UserException(
          "cannot read '%s': %s: %s%s"
              .formatted(path, failure.getClass().getSimpleName(), failure.getMessage(), mend()),
          failure);
    }
    Safetensors file = Safetensors.open(path);
    try {
      verify(file, expected);
      return file;
    } catch (RuntimeException | Error failure) {
      file.close();
      throw failure;
    }
  }

  private void verify(Safetensors file, FileEntry expected) {
    SequencedMap<String, TensorType> types = new LinkedHashMap<>();
    expected.tensors().forEach((name, tensor) -> types.put(name, tensor.type()));
    String found = Checksum.of(file.whole());
    if (found.equals(expected.checksum())) {
      file.require(types);
      return;
    }
    // Only a damaged file pays for finding out where.
    for (String name : file.types().keySet()) {
      String tensor = Checksum.of(file.tensor(name).data());
      Manifest.TensorEntry entry = expected.tensors().get(name);
      if (entry != null && !tensor.equals(entry.checksum())) {
        throw new UserException(
            "tensor '%s' in '%s' is damaged: expected checksum %s, found %s%s"
                .formatted(name, file.file(), entry.checksum(), tensor, mend()));
      }
    }
    file.require(types);
    throw new UserException(
        "the header of '%s' is damaged: expected checksum %s of the file, found %s%s"
            .formatted(file.file(), expected.checksum(), found, mend()));
  }

  private String mend() {
    return "; move '%s' away to go on from the checkpoint before it".formatted(directory);
  }
}
