package dev.weft.engine.library;

/** The version of a libtorch. Only the first three numbers count. */
public record LibraryVersion(int major, int minor, int patch)
    implements Comparable<LibraryVersion> {
  /** The oldest libtorch whose stable C ABI has every function that Weft calls. */
  public static final LibraryVersion MINIMUM = new LibraryVersion(2, 10, 0);

  /** Reads the number that libtorch reports: one byte each, from the highest down. */
  static LibraryVersion ofAbi(long abi) {
    return new LibraryVersion(
        (int) (abi >>> 56) & 0xff, (int) (abi >>> 48) & 0xff, (int) (abi >>> 40) & 0xff);
  }

  @Override
  public int compareTo(LibraryVersion other) {
    int order = Integer.compare(major, other.major);
    if (order == 0) {
      order = Integer.compare(minor, other.minor);
    }
    return order != 0 ? order : Integer.compare(patch, other.patch);
  }

  /** {@code 2.13.0}. */
  @Override
  public String toString() {
    return major + "." + minor + "." + patch;
  }
}
