package dev.weft.runtime.data;

import dev.weft.runtime.storage.Checksum;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.foreign.ValueLayout.OfInt;
import java.lang.foreign.ValueLayout.OfLong;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Texts as one file of tokens: first what is trained on, of all texts in order, then what is held
 * out, of all texts in order.
 *
 * <p>The file is a header of 64 bytes, the tokens, one byte each, and the CRC-32C of the tokens, an
 * i32. Numbers are little-endian. The header:
 *
 * <pre>
 *  0  8 bytes   "WEFTTOKN"
 *  8  i32       version of the format, 1
 * 12  4 bytes   zero
 * 16  i64       tokens trained on
 * 24  i64       tokens held out
 * 32  28 bytes  zero
 * 60  i32       CRC-32C of the 60 bytes before
 * </pre>
 */
final class TokenFile {
  static final int VERSION = 1;
  static final int HEADER_BYTES = 64;
  static final int TRAILER_BYTES = 4;

  /** One part in this many of every text is held out. */
  static final int HELD_OUT_PART = 20;

  private static final byte[] MAGIC = {'W', 'E', 'F', 'T', 'T', 'O', 'K', 'N'};
  private static final OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int VERSION_AT = 8;
  private static final int TRAINING_AT = 16;
  private static final int VALIDATION_AT = 24;
  private static final int HEADER_CHECKSUM_AT = 60;

  private TokenFile() {}

  /** Says what is wrong with a file of tokens. */
  static final class DamagedException extends Exception {
    DamagedException(String message) {
      super(message);
    }
  }

  /**
   * Writes the texts to a file, whole or not at all.
   *
   * @throws dev.weft.core.cluster.UserException if a text is missing, empty or not UTF-8
   * @throws IOException if the file cannot be written
   */
  static void write(Disk disk, Path file, List<? extends TextSource> sources) throws IOException {
    List<TextSource.Content> contents = new ArrayList<>();
    try {
      for (TextSource source : sources) {
        contents.add(source.open());
      }
      write(disk, file, sources, contents);
    } finally {
      for (TextSource.Content content : contents) {
        content.close();
      }
    }
  }

  private static void write(
      Disk disk, Path file, List<? extends TextSource> sources, List<TextSource.Content> contents)
      throws IOException {
    long[] boundaries = new long[contents.size()];
    long training = 0;
    long validation = 0;
    for (int index = 0; index < boundaries.length; index++) {
      boundaries[index] = heldOutFrom(contents.get(index));
      training += boundaries[index];
      validation += contents.get(index).size() - boundaries[index];
    }
    MemorySegment header = MemorySegment.ofArray(new byte[HEADER_BYTES]);
    MemorySegment.copy(MAGIC, 0, header, ValueLayout.JAVA_BYTE, 0, MAGIC.length);
    header.set(INT, VERSION_AT, VERSION);
    header.set(LONG, TRAINING_AT, training);
    header.set(LONG, VALIDATION_AT, validation);
    header.set(INT, HEADER_CHECKSUM_AT, headerChecksum(header));
    disk.replace(
        file,
        output -> {
          output.write(header.asByteBuffer());
          Checksum checksum = new Checksum();
          Tokens.ChunkConsumer writer =
              (chunk, position) -> {
                checksum.update(chunk);
                output.write(chunk);
              };
          for (int index = 0; index < boundaries.length; index++) {
            String name = sources.get(index).name();
            Tokens.forEachChunk(name, contents.get(index), 0, boundaries[index], writer);
          }
          for (int index = 0; index < boundaries.length; index++) {
            String name = sources.get(index).name();
            TextSource.Content content = contents.get(index);
            Tokens.forEachChunk(name, content, boundaries[index], content.size(), writer);
          }
          MemorySegment trailer = MemorySegment.ofArray(new byte[TRAILER_BYTES]);
          trailer.set(INT, 0, checksum.value());
          output.write(trailer.asByteBuffer());
        });
  }

  /** Where the held-out part of a text starts: the first character within its last 5 %. */
  static long heldOutFrom(TextSource.Content content) throws IOException {
    long boundary = content.size() - content.size() / HELD_OUT_PART;
    ByteBuffer next = ByteBuffer.allocate((int) Math.min(4, content.size() - boundary));
    content.read(boundary, next);
    for (byte value : next.flip().array()) {
      if (!Utf8Check.continues(value)) {
        break;
      }
      boundary++;
    }
    return boundary;
  }

  /**
   * Maps a file that {@link #write} wrote, and checks all of it (a tenth of a second per gigabyte
   * that the system still holds in memory).
   *
   * @return the tokens trained on and the tokens held out
   * @throws DamagedException if the file is not what was written
   */
  static TokenDataset map(Path file) throws IOException, DamagedException {
    MemorySegment all;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      if (channel.size() < HEADER_BYTES + TRAILER_BYTES) {
        throw new DamagedException("it has only " + channel.size() + " bytes");
      }
      all = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), Arena.ofAuto());
    }
    MemorySegment header = all.asSlice(0, HEADER_BYTES);
    if (header.asSlice(0, MAGIC.length).mismatch(MemorySegment.ofArray(MAGIC)) >= 0) {
      throw new DamagedException("it does not start like a file of tokens");
    }
    if (header.get(INT, VERSION_AT) != VERSION) {
      throw new DamagedException("it has version " + header.get(INT, VERSION_AT));
    }
    if (header.get(INT, HEADER_CHECKSUM_AT) != headerChecksum(header)) {
      throw new DamagedException("its header has another checksum than it says");
    }
    long training = header.get(LONG, TRAINING_AT);
    long validation = header.get(LONG, VALIDATION_AT);
    long found = all.byteSize() - HEADER_BYTES - TRAILER_BYTES;
    if (found != training + validation) {
      throw new DamagedException(
          "it has %d bytes of tokens and says %d".formatted(found, training + validation));
    }
    MemorySegment tokens = all.asSlice(HEADER_BYTES, found);
    Checksum checksum = new Checksum();
    checksum.update(tokens);
    if (checksum.value() != all.get(INT, HEADER_BYTES + found)) {
      throw new DamagedException("its tokens have another checksum than it says");
    }
    return new TokenDataset(
        Tokens.of(tokens.asSlice(0, training)),
        Tokens.of(tokens.asSlice(training)),
        "bytes:" + training + "+" + validation + ":crc32c:" + checksum.text());
  }

  private static int headerChecksum(MemorySegment header) {
    Checksum checksum = new Checksum();
    checksum.update(header.asSlice(0, HEADER_CHECKSUM_AT));
    return checksum.value();
  }
}
