package dev.weft.core.op;

import dev.weft.core.graph.Op;
import java.util.List;

/**
 * An op's line in the table of ops.
 *
 * @param type the record of the op
 * @param examples applications to test it with, at least one
 */
public record OpEntry(Class<? extends Op> type, List<Example> examples) {
  public static OpEntry of(Class<? extends Op> type, Example... examples) {
    return new OpEntry(type, List.of(examples));
  }

  /** The name in the text form. */
  public String name() {
    return examples.getFirst().op().name();
  }
}
