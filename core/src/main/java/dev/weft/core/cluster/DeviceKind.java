package dev.weft.core.cluster;

import java.util.Locale;

/** What a device is; kernels are chosen per kind. */
public enum DeviceKind {
  CPU,
  CUDA;

  /** The name that libraries use for the kind: {@code cpu}, {@code cuda}. */
  public String text() {
    return name().toLowerCase(Locale.ROOT);
  }
}
