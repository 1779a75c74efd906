package dev.weft.core.cluster;

/**
 * A named direction of a mesh.
 *
 * @param name a word
 * @param size how many devices stand along it, at least 1
 */
public record MeshAxis(String name, int size) {
  public MeshAxis {
    checkName(name);
    if (size < 1) {
      throw new UserException("mesh axis " + name + " needs a size of at least 1, found " + size);
    }
  }

  /** Refuses what can be no axis's name. */
  static void checkName(String name) {
    if (!name.matches("[A-Za-z_][A-Za-z0-9_]*")) {
      throw new UserException(
          "expected a word as the name of a mesh axis, like data or model, found '" + name + "'");
    }
  }

  /** {@code name=size}. */
  @Override
  public String toString() {
    return name + "=" + size;
  }
}
