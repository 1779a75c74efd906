package dev.weft.runtime.machine;

import java.nio.file.Path;

/** Where Weft keeps what it can make again. */
public final class Caches {
  private Caches() {}

  /** {@code $WEFT_CACHE}, or {@code weft} in the user's folder of caches. */
  public static Path directory() {
    String own = System.getenv("WEFT_CACHE");
    if (own != null && !own.isEmpty()) {
      return Path.of(own);
    }
    String shared = System.getenv("XDG_CACHE_HOME");
    return shared != null && !shared.isEmpty()
        ? Path.of(shared, "weft")
        : Path.of(System.getProperty("user.home"), ".cache", "weft");
  }
}
