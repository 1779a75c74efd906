package dev.weft.runtime.data;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/** A text to train on: a file of the user's or the text that comes with Weft. */
public sealed interface TextSource permits TextFile, EuroparlText {
  /** What messages call it: the path as the user wrote it, or the name of the corpus. */
  String name();

  /**
   * Tells this text from any other without reading it: where it is, how long it is, when it last
   * changed.
   *
   * @throws dev.weft.core.cluster.UserException if there is no such text
   */
  String fingerprint();

  /**
   * Opens the text for reading.
   *
   * @throws dev.weft.core.cluster.UserException if it is missing, empty or unreadable
   */
  Content open();

  /** An open text: bytes that are not yet known to be UTF-8. */
  interface Content extends Closeable {
    /** The number of bytes when it was opened. */
    long size();

    /** Reads as many bytes as the buffer takes; fewer only where the text ends. */
    void read(long position, ByteBuffer into) throws IOException;
  }
}
