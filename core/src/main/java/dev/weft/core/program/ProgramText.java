package dev.weft.core.program;

import dev.weft.core.collective.CollectiveTable;
import dev.weft.core.op.GraphReader;

/** The text form of programs: what is printed reads back to the same program. */
public final class ProgramText {
  private ProgramText() {}

  /** The program as text, ending with a newline. */
  public static String print(Program program) {
    return ProgramPrinter.print(program);
  }

  /**
   * Reads a program of Weft's own ops. Whether it is sound {@link ProgramVerifier} says.
   *
   * @throws dev.weft.core.op.GraphTextException if the text is no program: names line and column
   */
  public static Program parse(String text) {
    return new ProgramParser(new GraphReader(text, CollectiveTable.ALL)).program();
  }
}
