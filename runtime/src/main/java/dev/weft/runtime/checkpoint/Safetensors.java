package dev.weft.runtime.checkpoint;

import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.checkpoint.Manifest.FileEntry;
import dev.weft.runtime.checkpoint.Manifest.TensorEntry;
import dev.weft.runtime.storage.Checksum;
import dev.weft.runtime.storage.Disk;
import java.io.EOFException;
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
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
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
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < LENGTH.byteSize()) {
        throw SafetensorsHeader.problem(file, "it has only " + size + " bytes");
      }
      // The header is read, not mapped: nothing it says is believed before all of it is checked.
      int prefix = (int) LENGTH.byteSize();
      long length = MemorySegment.ofArray(read(channel, 0, prefix)).get(LENGTH, 0);
      long most = Math.min(SafetensorsHeader.LONGEST, size - prefix);
      if (length < 2 || length > most) {
        throw SafetensorsHeader.problem(
            file,
            "it says its header has %s bytes, expected 2 to %d"
                .formatted(Long.toUnsignedString(length), most));
      }
      byte[] json = read(channel, prefix, (int) length);
      SafetensorsHeader header = SafetensorsHeader.parse(file, json, size - prefix - length);
      return map(file, channel, size, prefix + length, header);
    } catch (IOException failure) {
      throw new UserException(
          "cannot read '%s': %s: %s"
              .formatted(file, failure.getClass().getSimpleName(), failure.getMessage()),
          failure);
    }
  }

  private static byte[] read(FileChannel channel, long from, int count) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(count);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes, from + bytes.position()) < 0) {
        throw new EOFException("the file became shorter while it was read");
      }
    }
    return bytes.array();
  }

  private static Safetensors map(
      Path file, FileChannel channel, long size, long dataStart, SafetensorsHeader header)
      throws IOException {
    Arena arena = Arena.ofShared();
    try {
      MemorySegment whole = channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
      return new Safetensors(file, arena, whole, whole.asSlice(dataStart), header);
    } catch (IOException | RuntimeException | Error failure) {
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
    Disk.local().replace(file, output -> write(output, tensors, metadata));
  }

  /** Writes a file's content and says what was written; does not sync. */
  static FileEntry write(
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
    Map<String, TensorEntry> sums = new HashMap<>();
    for (Map.Entry<String, SafetensorsHeader.Entry> entry : header.inFileOrder()) {
      TensorData tensor = Objects.requireNonNull(tensors.get(entry.getKey()));
      String sum = writeTensor(output, tensor.data(), whole);
      sums.put(entry.getKey(), new TensorEntry(tensor.type(), sum));
      bytes += tensor.data().byteSize();
    }
    SequencedMap<String, TensorEntry> inOrder = new LinkedHashMap<>();
    for (String name : tensors.keySet()) {
      inOrder.put(name, Objects.requireNonNull(sums.get(name)));
    }
    return new FileEntry(bytes, whole.text(), inOrder);
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
