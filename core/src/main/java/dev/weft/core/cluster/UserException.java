package dev.weft.core.cluster;

import org.jspecify.annotations.Nullable;

/**
 * A mistake of the user's, not a fault of Weft: the message names what was written, what was
 * expected, what was found, and the mend. The command line ends with exit code 2.
 */
public class UserException extends RuntimeException {
  public UserException(String message) {
    super(message);
  }

  public UserException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
