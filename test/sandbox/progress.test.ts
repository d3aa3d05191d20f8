import { describe, expect, it } from 'vitest';
import { showProgress } from '../../src/sandbox/progress.ts';

const show = (isTTY: boolean): { written: () => string } & ReturnType<typeof showProgress> => {
  let text = '';
  const stream = {
    isTTY,
    write: (more: string) => {
      text += more;
    },
  };
  return { written: () => text, ...showProgress(stream) };
};

describe('progress', () => {
  it('is plain lines on a log', () => {
    const { progress, done, written } = show(false);
    progress('building');
    progress('building (15 s)');
    done();
    expect(written()).toBe('building\nbuilding (15 s)\n');
  });

  it('is written over as time goes by on a terminal, and kept when something else begins', () => {
    const { progress, done, written } = show(true);
    progress('building');
    progress('building (1 s)');
    progress('starting');
    done();
    expect(written()).toBe('\r\x1b[2Kbuilding\r\x1b[2Kbuilding (1 s)\n\r\x1b[2Kstarting\n');
  });
});
