# What makes shells complete fealty's words: printed by the program itself.
set(completions ${CMAKE_BINARY_DIR}/completions)
add_custom_command(
  OUTPUT ${completions}/fealty ${completions}/_fealty ${completions}/fealty.fish
  COMMAND ${CMAKE_COMMAND} -E make_directory ${completions}
  COMMAND fealty completion bash > ${completions}/fealty
  COMMAND fealty completion zsh > ${completions}/_fealty
  COMMAND fealty completion fish > ${completions}/fealty.fish
  DEPENDS fealty)
add_custom_target(completions ALL DEPENDS ${completions}/fealty)
install(FILES ${completions}/fealty
  DESTINATION share/bash-completion/completions)
install(FILES ${completions}/_fealty DESTINATION share/zsh/vendor-completions)
install(FILES ${completions}/fealty.fish
  DESTINATION share/fish/vendor_completions.d)
