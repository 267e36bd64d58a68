"""Operations and the processes they are killed in."""
