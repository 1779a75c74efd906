package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;

/** A stage holds more than its devices have memory for. */
final class TooLargeException extends UserException {
  private static final long serialVersionUID = 1;

  TooLargeException(String message) {
    super(message);
  }
}
