package dev.weft.cli;

import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * Prints bytes as text as soon as they make characters; what makes none becomes a question mark.
 */
final class Utf8Printer {
  private final PrintStream out;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);
  private final ByteBuffer pending = ByteBuffer.allocate(16);
  private final CharBuffer characters = CharBuffer.allocate(16);

  Utf8Printer(PrintStream out) {
    this.out = out;
  }

  void print(int value) {
    pending.put((byte) value);
    pending.flip();
    decoder.decode(pending, characters, false);
    pending.compact();
    flush();
  }

  /** Prints what is left. */
  void end() {
    pending.flip();
    decoder.decode(pending, characters, true);
    flush();
    out.println();
  }

  private void flush() {
    characters.flip();
    out.print(characters);
    out.flush();
    characters.clear();
  }
}
