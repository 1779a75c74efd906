package dev.weft.cli;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/** The terminal that the user looks at. */
final class Terminal {
  private static final int STANDARD_OUTPUT = 1;

  /** Asks for {@code struct winsize}: four u16, rows first, then columns. */
  private static final long GET_WINDOW_SIZE = 0x5413;

  private static final int USUAL_WIDTH = 80;

  private final @Nullable MethodHandle ioctl;

  private Terminal(@Nullable MethodHandle ioctl) {
    this.ioctl = ioctl;
  }

  /** Whether lines can be rewritten: standard output is a terminal, and not a dumb one. */
  static boolean isLive() {
    return System.console() != null
        && System.console().isTerminal()
        && !"dumb".equals(System.getenv("TERM"));
  }

  /** Whether colours are wanted; see no-color.org. */
  static boolean wantsColour() {
    String refused = System.getenv("NO_COLOR");
    return isLive() && (refused == null || refused.isEmpty());
  }

  static Terminal open() {
    Linker linker = Linker.nativeLinker();
    return new Terminal(
        linker
            .defaultLookup()
            .find("ioctl")
            .map(
                address ->
                    linker.downcallHandle(
                        address,
                        FunctionDescriptor.of(
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.ADDRESS),
                        Linker.Option.firstVariadicArg(2)))
            .orElse(null));
  }

  /** Characters that fit on a line now; windows change. */
  int width() {
    MethodHandle function = ioctl;
    if (function == null) {
      return USUAL_WIDTH;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment size = arena.allocate(ValueLayout.JAVA_SHORT, 4);
      int result = (int) function.invokeExact(STANDARD_OUTPUT, GET_WINDOW_SIZE, size);
      int columns = Short.toUnsignedInt(size.getAtIndex(ValueLayout.JAVA_SHORT, 1));
      return result == 0 && columns > 0 ? columns : USUAL_WIDTH;
    } catch (Throwable failure) {
      throw new IllegalStateException(failure);
    }
  }
}
