package dev.weft.cli;

import dev.weft.core.cluster.Bytes;
import dev.weft.runtime.trainer.Progress;
import java.io.PrintStream;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Shows training: one line that is rewritten on a terminal, plain lines elsewhere. */
final class LiveLine implements Progress {
  private final PrintStream out;
  private final boolean quiet;
  private final boolean colour;
  private final @Nullable Terminal window;
  private boolean open;

  LiveLine(PrintStream out, boolean quiet) {
    this.out = out;
    this.quiet = quiet;
    this.colour = Terminal.wantsColour();
    this.window = Terminal.isLive() && !quiet ? Terminal.open() : null;
  }

  @Override
  public void logged(Logged step) {
    if (quiet) {
      return;
    }
    if (window != null) {
      String fitting = line(step, window.width() - 1);
      out.print(
          "\r" + (colour ? "\u001b[36m" : "") + fitting + (colour ? "\u001b[0m" : "") + "\u001b[K");
      out.flush();
      open = true;
    } else {
      out.println(line(step, Integer.MAX_VALUE));
    }
  }

  @Override
  public void message(String text) {
    end();
    if (!quiet) {
      out.println(text);
    }
  }

  /** Leaves the live line as it is and goes on below. */
  void end() {
    if (open) {
      out.println();
      open = false;
    }
  }

  /**
   * The fullest account of a step that a line has room for: one that wraps could not be rewritten.
   */
  static String line(Logged step, int width) {
    long left = Math.round(step.secondsLeft());
    String full =
        text(
            "step %d/%d  loss %.4f  %,.0f %s/s  %.1f GFLOP/s (%.0f %% of matmul peak)  %s  %s left",
            step, left < 60 ? left + " s" : "%d min %02d s".formatted(left / 60, left % 60));
    if (full.length() <= width) {
      return full;
    }
    String brief =
        text(
            "%d/%d loss %.4f %,.0f %s/s %.0f GFLOP/s (%.0f %%) %s %s left",
            step, "%d:%02d".formatted(left / 60, left % 60));
    return brief.substring(0, Math.min(brief.length(), Math.max(0, width)));
  }

  private static String text(String form, Logged step, String left) {
    return String.format(
        Locale.ROOT,
        form,
        step.step(),
        step.steps(),
        step.loss(),
        step.unitsPerSecond(),
        step.unit(),
        step.flopsPerSecond() / 1e9,
        step.shareOfPeak() * 100,
        Bytes.of(step.memoryBytes()),
        left);
  }
}
