package dev.weft.core.op;

import dev.weft.core.graph.Op;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** All ops by name. To add an op is to add its file, and its line here. */
public final class OpTable {
  /** The ops of Weft. */
  public static final List<OpEntry> ENTRIES =
      List.of(
          Add.ENTRY,
          Broadcast.ENTRY,
          Cast.ENTRY,
          Constant.ENTRY,
          Divide.ENTRY,
          Exp.ENTRY,
          Matmul.ENTRY,
          Multiply.ENTRY,
          Negate.ENTRY,
          Reshape.ENTRY,
          Subtract.ENTRY,
          Sum.ENTRY,
          Transpose.ENTRY);

  /** The ops of Weft and the repeat, which the passes treat on their own. */
  public static final OpTable STANDARD = new OpTable(ENTRIES);

  private final Map<String, Class<? extends Op>> types = new LinkedHashMap<>();

  /** A table of the given ops and the repeat, for reading graphs that use a user's own ops. */
  public OpTable(List<OpEntry> entries) {
    for (OpEntry entry : entries) {
      if (types.put(entry.name(), entry.type()) != null) {
        throw new IllegalArgumentException("two ops named " + entry.name());
      }
    }
    types.put("repeat", Repeat.class);
  }

  /** The record of the op of that name. */
  public Optional<Class<? extends Op>> find(String name) {
    return Optional.ofNullable(types.get(name));
  }

  /** All names, for suggestions in errors. */
  public List<String> names() {
    return List.copyOf(types.keySet());
  }
}
