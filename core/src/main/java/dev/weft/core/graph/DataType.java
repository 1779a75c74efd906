package dev.weft.core.graph;

import java.util.Locale;

/** The type of one element of a tensor. */
public enum DataType {
  F32(4, Category.FLOAT),
  BF16(2, Category.FLOAT),
  F16(2, Category.FLOAT),
  F64(8, Category.FLOAT),
  I32(4, Category.INTEGER),
  I64(8, Category.INTEGER),
  BOOL(1, Category.BOOLEAN);

  /** What kind of arithmetic an element takes part in. */
  private enum Category {
    FLOAT,
    INTEGER,
    BOOLEAN
  }

  private final int bytes;
  private final Category category;

  DataType(int bytes, Category category) {
    this.bytes = bytes;
    this.category = category;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  public boolean isFloat() {
    return category == Category.FLOAT;
  }

  public boolean isInteger() {
    return category == Category.INTEGER;
  }

  /** The name in the text form: {@code f32}, {@code bool}. */
  public String text() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * Reads the name that {@link #text} prints.
   *
   * @throws IllegalArgumentException if no type has this name
   */
  public static DataType parse(String text) {
    for (DataType type : values()) {
      if (type.text().equals(text)) {
        return type;
      }
    }
    throw new IllegalArgumentException(
        "unknown data type '" + text + "': expected one of f32, bf16, f16, f64, i32, i64, bool");
  }

  @Override
  public String toString() {
    return text();
  }
}
