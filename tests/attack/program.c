/* What races for execution: the exit code says which of the two it is. */
int main(void) {
        return CODE;
}
