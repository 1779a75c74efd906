package dev.weft.runtime.storage;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.zip.CRC32C;

/**
 * CRC-32C of bytes, as eight hexadecimal digits. Processors compute it at gigabytes per second, and
 * it finds every change that is confined to 32 neighbouring bits.
 */
public final class Checksum {
  private static final long CHUNK = 1 << 26;
  private static final int BOUNCE = 1 << 16;

  private final CRC32C crc = new CRC32C();

  /** The checksum of all bytes of a segment. */
  public static String of(MemorySegment bytes) {
    Checksum checksum = new Checksum();
    checksum.update(bytes);
    return checksum.text();
  }

  /** The checksum of all bytes of an array. */
  public static String of(byte[] bytes) {
    return of(MemorySegment.ofArray(bytes));
  }

  /** Takes in all that remains in the buffer, and leaves its position as it was. */
  public void update(ByteBuffer bytes) {
    crc.update(bytes.duplicate());
  }

  /** Takes in all bytes of a segment, native or on the heap. */
  public void update(MemorySegment bytes) {
    boolean viewable =
        bytes.isNative() || bytes.heapBase().filter(byte[].class::isInstance).isPresent();
    if (viewable) {
      for (long from = 0; from < bytes.byteSize(); from += CHUNK) {
        long length = Math.min(CHUNK, bytes.byteSize() - from);
        crc.update(bytes.asSlice(from, length).asByteBuffer());
      }
      return;
    }
    // Only byte arrays can be seen as a buffer of bytes; arrays of wider elements are copied.
    byte[] bounce = new byte[BOUNCE];
    for (long from = 0; from < bytes.byteSize(); from += BOUNCE) {
      int length = (int) Math.min(BOUNCE, bytes.byteSize() - from);
      MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, from, bounce, 0, length);
      crc.update(bounce, 0, length);
    }
  }

  /** The sum of all bytes so far. */
  public int value() {
    return (int) crc.getValue();
  }

  /** The sum of all bytes so far, as eight hexadecimal digits. */
  public String text() {
    return String.format(Locale.ROOT, "%08x", crc.getValue());
  }
}
