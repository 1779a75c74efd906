package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;

/**
 * A row of tokens, each one byte, read from memory that is mapped or held. Safe for many threads.
 */
public final class Tokens {
  /** The number of different tokens: one for every value of a byte. */
  public static final int VOCABULARY = 256;

  private static final int CHUNK = 1 << 20;

  private final MemorySegment bytes;

  private Tokens(MemorySegment bytes) {
    this.bytes = bytes;
  }

  /** The bytes of a segment as tokens; nothing is copied. */
  public static Tokens of(MemorySegment bytes) {
    return new Tokens(bytes);
  }

  /** The bytes of an array as tokens; nothing is copied. */
  public static Tokens of(byte[] bytes) {
    return new Tokens(MemorySegment.ofArray(bytes));
  }

  /**
   * Reads a whole text into memory outside the heap, with nothing held out.
   *
   * @throws UserException if the text is missing, empty, unreadable or not UTF-8
   */
  public static Tokens read(TextSource source) {
    try (TextSource.Content content = source.open()) {
      MemorySegment all = Arena.ofAuto().allocate(content.size());
      forEachChunk(
          source.name(),
          content,
          0,
          content.size(),
          (chunk, position) ->
              all.asSlice(position, chunk.remaining()).copyFrom(MemorySegment.ofBuffer(chunk)));
      return new Tokens(all);
    } catch (IOException failure) {
      throw new UserException(
          "cannot read '%s': %s".formatted(source.name(), failure.getMessage()), failure);
    }
  }

  /** Takes the piece of a text that remains in a buffer. */
  @FunctionalInterface
  interface ChunkConsumer {
    void accept(ByteBuffer chunk, long position) throws IOException;
  }

  /**
   * Walks once, in order, through the bytes {@code from} (inclusive) to {@code to} (exclusive) of a
   * text, held to UTF-8 on the way; both stand between characters.
   */
  static void forEachChunk(
      String name, TextSource.Content content, long from, long to, ChunkConsumer consumer)
      throws IOException {
    Utf8Check check = new Utf8Check(name, from);
    byte[] bytes = new byte[(int) Math.min(CHUNK, to - from)];
    for (long position = from; position < to; position += bytes.length) {
      int length = (int) Math.min(bytes.length, to - position);
      ByteBuffer chunk = ByteBuffer.wrap(bytes, 0, length);
      content.read(position, chunk);
      if (chunk.hasRemaining()) {
        throw new UserException(
            "'%s' became shorter while it was read: expected %d bytes, found %d; start again once nothing writes to it"
                .formatted(name, content.size(), position + chunk.position()));
      }
      check.accept(bytes, length);
      consumer.accept(chunk.flip(), position);
    }
    check.end();
  }

  /** How many tokens there are. */
  public long count() {
    return bytes.byteSize();
  }

  /** The token at an index, 0 to 255. */
  public int at(long index) {
    return bytes.get(ValueLayout.JAVA_BYTE, index) & 0xFF;
  }

  /**
   * Writes tokens as i64 numbers.
   *
   * @param from the index of the first token
   * @param count how many
   * @param into where the numbers go, in i64 elements from {@code element} on
   */
  public void copyTo(long from, int count, MemorySegment into, long element) {
    for (int offset = 0; offset < count; offset++) {
      into.setAtIndex(
          ValueLayout.JAVA_LONG,
          element + offset,
          bytes.get(ValueLayout.JAVA_BYTE, from + offset) & 0xFFL);
    }
  }

  MemorySegment bytes() {
    return bytes;
  }
}
