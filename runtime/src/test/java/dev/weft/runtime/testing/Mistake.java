package dev.weft.runtime.testing;

import dev.weft.core.cluster.UserException;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.function.Executable;

/** A mistake of the user's that must be noticed. */
public final class Mistake {
  private Mistake() {}

  /** What the user is told; fails where the action succeeds. */
  public static String message(Executable action) {
    return message(Assertions.assertThrows(UserException.class, action));
  }

  /** What the user is told. */
  public static String message(UserException mistake) {
    return String.valueOf(mistake.getMessage());
  }
}
