package dev.weft.runtime.checkpoint;

import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.storage.Checksum;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.foreign.ValueLayout.OfLong;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/**
 * An open safetensors file: tensors by name, mapped rather than read. Safe for many threads until
 * it is closed.
 *
 * <p>The format: the length of a header as a little-endian i64, the header in JSON, the tensors'
 * bytes. A header is only believed once all it says has been checked.
 */
public final class Safetensors implements AutoCloseable {
  private static final OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Data start at a multiple of this, for kernels that read a mapped file directly. */
  private static final int ALIGNMENT = 64;

  private static final int CHUNK = 1 << 26;
  private static final int BOUNCE = 1 << 20;

  private final Path file;
  private final Arena arena;
  private final MemorySegment whole;
  private final MemorySegment data;
  private final SafetensorsHeader header;

  private Safetensors(
      Path file, Arena arena, MemorySegment whole, MemorySegment data, SafetensorsHeader header) {
    this.file = file;
    this.arena = arena;
    this.whole = whole;
    this.data = data;
    this.header = header;
  }

  /**
   * Opens a file and checks its header.
   *
   * @throws UserException if the file is missing, unreadable, or not sound: names the file and the
   *     tensor
   */
  public static Safetensors open(Path file) {
    Arena arena = Arena.ofShared();
    try {
      MemorySegment whole;
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
        whole = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      }
      if (whole.byteSize() < LENGTH.byteSize()) {
        throw SafetensorsHeader.problem(file, "it has only " + whole.byteSize() + " bytes");
      }
      long length = whole.get(LENGTH, 0);
      long most = Math.min(SafetensorsHeader.LONGEST, whole.byteSize() - LENGTH.byteSize());
      if (length < 2 || length > most) {
        throw SafetensorsHeader.problem(
            file,
            "it says its header has %s bytes, expected 2 to %d"
                .formatted(Long.toUnsignedString(length), most));
      }
      byte[] json = whole.asSlice(LENGTH.byteSize(), length).toArray(ValueLayout.JAVA_BYTE);
      MemorySegment data = whole.asSlice(LENGTH.byteSize() + length);
      SafetensorsHeader header = SafetensorsHeader.parse(file, json, data.byteSize());
      return new Safetensors(file, arena, whole, data, header);
    } catch (IOException failure) {
      arena.close();
      throw new UserException(
          "cannot read '%s': %s: %s"
              .formatted(file, failure.getClass().getSimpleName(), failure.getMessage()),
          failure);
    } catch (RuntimeException | Error failure) {
      arena.close();
      throw failure;
    }
  }

  public Path file() {
    return file;
  }

  /** Free text by name that the writer left. */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(header.metadata());
  }

  /** Types of all tensors by name, in the order of the header. */
  public SequencedMap<String, TensorType> types() {
    SequencedMap<String, TensorType> types = new LinkedHashMap<>();
    header.entries().forEach((name, entry) -> types.put(name, entry.type()));
    return types;
  }

  /**
   * One tensor, read-only, in the mapped file: nothing is copied. Valid until this is closed. Files
   * of other writers may hold elements at odd addresses.
   *
   * @throws UserException if there is no tensor of this name
   */
  public TensorData tensor(String name) {
    SafetensorsHeader.Entry entry = header.entries().get(name);
    if (entry == null) {
      throw new UserException(
          "'%s' has no tensor '%s'%s"
              .formatted(file, name, Suggestion.hint(name, header.entries().keySet())));
    }
    return new TensorData(entry.type(), data.asSlice(entry.begin(), entry.end() - entry.begin()));
  }

  /**
   * Holds the file to a list of tensors: none missing, none more, all of the expected type.
   *
   * @throws UserException naming the file and the tensor, what was expected and what was found
   */
  public void require(Map<String, TensorType> expected) {
    expected.forEach(
        (name, type) -> {
          TensorData found = tensor(name);
          if (!found.type().equals(type)) {
            throw new UserException(
                "tensor '%s' in '%s' has type %s, expected %s: the file is of another model or configuration"
                    .formatted(name, file, found.type(), type));
          }
        });
    for (String name : header.entries().keySet()) {
      if (!expected.containsKey(name)) {
        throw new UserException(
            "'%s' has a tensor '%s' that nothing asks for%s: the file is of another model or configuration"
                .formatted(file, name, Suggestion.hint(name, expected.keySet())));
      }
    }
  }

  /** All bytes of the file, for checksums. */
  MemorySegment whole() {
    return whole;
  }

  /** Unmaps the file; tensors may no longer be touched. */
  @Override
  public void close() {
    arena.close();
  }

  /** What was written: checksums over a file and over each of its tensors. */
  record Written(long bytes, String checksum, SequencedMap<String, String> tensorChecksums) {}

  /**
   * Writes a file, whole or not at all; nothing is gathered in memory first.
   *
   * @param tensors by name; the header keeps their order
   * @param metadata free text by name
   * @throws IllegalArgumentException if a name may not be a tensor's
   * @throws IOException if the file cannot be written; what was there before is unharmed
   */
  public static void write(
      Path file, SequencedMap<String, TensorData> tensors, Map<String, String> metadata)
      throws IOException {
    Disk.LOCAL.replace(file, output -> write(output, tensors, metadata));
  }

  /** Writes a file's content and says what was written; does not sync. */
  static Written write(
      Disk.Output output, SequencedMap<String, TensorData> tensors, Map<String, String> metadata)
      throws IOException {
    SequencedMap<String, TensorType> types = new LinkedHashMap<>();
    tensors.forEach(
        (name, tensor) -> {
          String bad = SafetensorsHeader.badName(name);
          if (!bad.isEmpty()) {
            throw new IllegalArgumentException(
                "'%s' may not be the name of a tensor: %s".formatted(name, bad));
          }
          types.put(name, tensor.type());
        });
    SafetensorsHeader header = SafetensorsHeader.of(types, metadata);
    byte[] json = header.toJson();
    int prefix = (int) LENGTH.byteSize();
    int padded = Math.ceilDiv(prefix + json.length, ALIGNMENT) * ALIGNMENT - prefix;
    if (padded > SafetensorsHeader.LONGEST) {
      throw new IllegalArgumentException(
          "%d tensors make a header of %d bytes, more than the %d that safetensors allow"
              .formatted(tensors.size(), padded, SafetensorsHeader.LONGEST));
    }
    ByteBuffer start = ByteBuffer.allocate(prefix + padded).order(ByteOrder.LITTLE_ENDIAN);
    start.putLong(padded).put(json);
    while (start.hasRemaining()) {
      start.put((byte) ' ');
    }
    Checksum whole = new Checksum();
    whole.update(start.flip());
    output.write(start);
    long bytes = start.limit();
    SequencedMap<String, String> sums = new LinkedHashMap<>();
    for (String name : tensors.keySet()) {
      sums.put(name, "");
    }
    for (Map.Entry<String, SafetensorsHeader.Entry> entry : header.inFileOrder()) {
      TensorData tensor = tensors.get(entry.getKey());
      if (tensor == null) {
        throw new AssertionError("the header was made of these tensors");
      }
      sums.put(entry.getKey(), writeTensor(output, tensor.data(), whole));
      bytes += tensor.data().byteSize();
    }
    return new Written(bytes, whole.text(), sums);
  }

  /** Writes one tensor's bytes and returns their checksum. */
  private static String writeTensor(Disk.Output output, MemorySegment tensor, Checksum whole)
      throws IOException {
    Checksum own = new Checksum();
    if (tensor.isNative()) {
      for (long from = 0; from < tensor.byteSize(); from += CHUNK) {
        ByteBuffer chunk =
            tensor.asSlice(from, Math.min(CHUNK, tensor.byteSize() - from)).asByteBuffer();
        own.update(chunk);
        whole.update(chunk);
        output.write(chunk);
      }
      return own.text();
    }
    // Arrays of wider elements than bytes cannot be seen as bytes: they go through a small buffer.
    ByteBuffer bounce = ByteBuffer.allocate((int) Math.min(BOUNCE, tensor.byteSize()));
    for (long from = 0; from < tensor.byteSize(); from += BOUNCE) {
      int length = (int) Math.min(BOUNCE, tensor.byteSize() - from);
      MemorySegment.copy(tensor, ValueLayout.JAVA_BYTE, from, bounce.array(), 0, length);
      bounce.clear().limit(length);
      own.update(bounce);
      whole.update(bounce);
      output.write(bounce);
    }
    return own.text();
  }
}
