package dev.weft.engine.library;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A C function as its header declares it, like {@code int32_t aoti_torch_get_dim(Tensor self,
 * int64_t* result)}. Pointers and handles are 64-bit integers to Java: no object is made for them.
 *
 * @param name the symbol
 * @param descriptor what the linker needs to know
 */
public record Prototype(String name, FunctionDescriptor descriptor) {
  /**
   * Reads a declaration.
   *
   * @throws IllegalArgumentException if it is none, or uses a type not known here
   */
  public static Prototype parse(String declaration) {
    int open = declaration.indexOf('(');
    int close = declaration.lastIndexOf(')');
    if (open < 0 || close < open) {
      throw new IllegalArgumentException("not a C declaration: " + declaration);
    }
    String head = declaration.substring(0, open).strip();
    int space = Math.max(head.lastIndexOf(' '), head.lastIndexOf('*')) + 1;
    String parameters = declaration.substring(open + 1, close).strip();
    List<MemoryLayout> layouts = new ArrayList<>();
    if (!parameters.isEmpty() && !parameters.equals("void")) {
      for (String parameter : parameters.split(",")) {
        layouts.add(layout(parameter, declaration));
      }
    }
    MemoryLayout[] arguments = layouts.toArray(MemoryLayout[]::new);
    String result = head.substring(0, space).strip();
    return new Prototype(
        head.substring(space),
        result.equals("void")
            ? FunctionDescriptor.ofVoid(arguments)
            : FunctionDescriptor.of(layout(result, declaration), arguments));
  }

  private static MemoryLayout layout(String parameter, String declaration) {
    if (parameter.contains("*")) {
      return ValueLayout.JAVA_LONG;
    }
    String type = parameter.strip().split("\\s+")[0];
    return switch (type) {
      case "Tensor", "List", "String", "int64_t", "uint64_t", "size_t" -> ValueLayout.JAVA_LONG;
      case "int", "int32_t", "uint32_t" -> ValueLayout.JAVA_INT;
      case "double" -> ValueLayout.JAVA_DOUBLE;
      case "bool" -> ValueLayout.JAVA_BOOLEAN;
      default -> throw new IllegalArgumentException("unknown type " + type + " in: " + declaration);
    };
  }
}
