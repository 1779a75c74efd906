package dev.weft.engine.library;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A look into a shared library before the system's loader, which ends the process on a short one.
 */
final class ElfFile {
  private static final int MAGIC = 0x464c457f;
  private static final int HEADER_BYTES = 64;
  private static final int SEGMENT_BYTES = 56;
  private static final int LOADED_SEGMENT = 1;

  private ElfFile() {}

  /** What is wrong with a file that ought to be a 64-bit library; empty if nothing seems to be. */
  static Optional<String> fault(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      ByteBuffer header = read(channel, 0, HEADER_BYTES);
      if (header.remaining() < HEADER_BYTES || header.getInt(0) != MAGIC || header.get(4) != 2) {
        return Optional.of("it is no 64-bit Linux library");
      }
      long needed = 0;
      long table = header.getLong(0x20);
      int step = Short.toUnsignedInt(header.getShort(0x36));
      int count = Short.toUnsignedInt(header.getShort(0x38));
      for (int i = 0; i < count; i++) {
        ByteBuffer segment = read(channel, table + (long) step * i, SEGMENT_BYTES);
        if (segment.remaining() < SEGMENT_BYTES) {
          return Optional.of("it is cut short after " + size + " bytes");
        }
        if (segment.getInt(0) == LOADED_SEGMENT) {
          needed = Math.max(needed, segment.getLong(0x08) + segment.getLong(0x20));
        }
      }
      return needed <= size
          ? Optional.empty()
          : Optional.of("it is cut short: %d bytes of at least %d".formatted(size, needed));
    } catch (IOException e) {
      return Optional.of("it cannot be read: " + e);
    }
  }

  private static ByteBuffer read(FileChannel channel, long offset, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if (offset >= 0) {
      long position = offset;
      for (int count; buffer.hasRemaining() && (count = channel.read(buffer, position)) > 0; ) {
        position += count;
      }
    }
    return buffer.flip();
  }
}
